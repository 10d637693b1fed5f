"""What the executors of a run share: its identity, its connections, its tokens, its end."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from job.answers import Reply
from job.events import Watch
from job.halt import Halt
from job.trace import Run


class Exchanger(Protocol):
    """What a worker needs of its connection."""

    async def exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Reply: ...
    async def aclose(self) -> None: ...


class TokenGiver(Protocol):
    """What a worker needs of the run's identity."""

    def at_hand(self, audience: str, rejected: str | None = None) -> str | None: ...
    async def get(self, audience: str, rejected: str | None = None) -> str: ...


@dataclass(frozen=True, slots=True)
class Means:
    """What the executors of a run share."""

    run: Run
    tokens: TokenGiver
    connect: Callable[[], Exchanger]
    halt: Halt
    watch: Watch
    dice: Callable[[], float] = random.random

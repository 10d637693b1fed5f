"""The four engines as data: what they are called, what they make, and the defaults of their variables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from job.text.messages import Message, message

EngineName = Literal["financial", "trading", "news", "qa"]
DataEngineName = Literal["financial", "trading", "news"]
Kind = Literal["equity", "topic", "person"]
"""What a target is."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What the job knows of one engine without being told."""

    title: Message
    word: Message
    """What it is called within a sentence: the `word` engine."""
    unit: str
    """What the engine makes, in the singular: target or card."""
    timeout: float
    """Seconds for one attempt."""
    concurrency: int
    """Calls in flight at the most, unless the variable says otherwise."""
    concurrency_limit: int = 1024
    """What the variable may say at the most."""
    batch_size: int = 1
    """Tickers a call; 1 if the engine takes no batches."""
    is_costly: bool = False
    """Whether each success costs money, so that the second answer that denies success is believed."""
    keeps_connections: bool = False
    """Whether a connection serves many calls. A data engine's serves one: a second answer to that call, which may come
    late, would be read as the answer to the next, and cards would be made without its data."""


ENGINES: Mapping[EngineName, EngineSpec] = {
    "financial": EngineSpec(
        message("Financial engine"), message("financial"), "target", timeout=900, concurrency=4, batch_size=5
    ),
    "trading": EngineSpec(
        message("Trading engine"), message("trading"), "target", timeout=900, concurrency=4, batch_size=5
    ),
    "news": EngineSpec(message("News engine"), message("news"), "target", timeout=300, concurrency=8),
    "qa": EngineSpec(
        message("QA engine"),
        message("QA"),
        "card",
        timeout=300,
        concurrency=16,
        concurrency_limit=8192,
        is_costly=True,
        keeps_connections=True,
    ),
}
DATA_ENGINES: tuple[DataEngineName, ...] = ("financial", "trading", "news")
ALL_ENGINES: tuple[EngineName, ...] = tuple(ENGINES)
TITLES: Mapping[EngineName, Message] = {name: engine.title for name, engine in ENGINES.items()}

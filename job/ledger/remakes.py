"""Remakes: which items a person has asked to have made again, and which of them are made again.

A request has a number, that of the attempt that opened it. An item is open until a done result has this number or a
higher one. Meanwhile it stays done in all totals.
"""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from job.engines.calls import WorkItem
from job.engines.catalog import EngineName
from job.ledger.result import CallResult
from job.ledger.totals import Count


class Remake(NamedTuple):
    """An item that is made again: a card, or data that its target needs first."""

    engine: EngineName
    target: str
    card_type: str | None = None
    number: Count = 0
    """The number of the request; 0 for a request that the attempt itself opens."""


_Key = tuple[EngineName, WorkItem]


class Remakes:
    """The requests of all attempts at a run, in the order of their numbers. Results may be added in any order."""

    def __init__(self) -> None:
        self._asked: dict[_Key, int] = {}
        self._made: dict[_Key, tuple[int, float]] = {}
        """The highest number of a done result, and when it ended."""
        self._only: frozenset[_Key] | None = None
        self._before: frozenset[_Key] = frozenset()
        """What was open when this attempt began."""

    def __bool__(self) -> bool:
        return bool(self._asked)

    def ask(self, remakes: Iterable[Remake], number: int) -> None:
        """Adds the requests of the attempt with this number.

        They also say anew whether the data of their targets is prepared first: else an engine that never prepares it
        would hold back all cards of the run for good.
        """
        remakes = tuple(remakes)
        targets = {one.target for one in remakes}
        self._asked = {key: asked for key, asked in self._asked.items() if key[0] == "qa" or key[1][0] not in targets}
        for one in remakes:
            key = (one.engine, (one.target, one.card_type))
            self._asked[key] = max(one.number or number, self._asked.get(key, 0))

    def add(self, result: CallResult) -> None:
        """Adds a result."""
        if result.done and result.remake:
            for item in result.items:
                key = (result.engine, item)
                self._made[key] = max((result.remake, result.ended), self._made.get(key, (0, 0.0)))

    def begin(self) -> None:
        """All requests and results of earlier attempts are added."""
        self._before = frozenset(key for key in self._asked if self.number(*key))

    def limit(self, remakes: Iterable[Remake]) -> None:
        """From here on, nothing else is requested: this attempt makes these items again, if they are open."""
        self._only = frozenset((one.engine, (one.target, one.card_type)) for one in remakes)

    def number(self, engine: EngineName, item: WorkItem) -> int:
        """The number of the request that is open for an item; 0 if there is none."""
        key = (engine, item)
        asked = self._asked.get(key, 0)
        return asked if asked > self._made.get(key, (0, 0.0))[0] else 0

    def open(self, engines: Container[EngineName], *, except_for: Container[str] = ()) -> int:
        """The number of open items of these engines, except for those of some targets."""
        return sum(
            engine in engines and item[0] not in except_for and self.number(engine, item) > 0
            for engine, item in self._asked
        )

    def counts(self) -> tuple[int, int]:
        """How many cards this attempt was to make again, and how many of them are open."""
        cards = [key for key in (self._before if self._only is None else self._only) if key[0] == "qa"]
        return len(cards), sum(self.number(*key) > 0 for key in cards)

    def made(self, engine: EngineName, item: WorkItem) -> float | None:
        """When an item was made again, in seconds since 1970; `None` if it was not asked for, or if it is open."""
        key = (engine, item)
        return self._made[key][1] if key in self._asked and not self.number(engine, item) else None

    def cards(self) -> Iterator[tuple[str, str, float | None]]:
        """Target and type of every card that was asked for, and when it was made again, as `made` returns it."""
        for engine, (target, card_type) in self._asked:
            if card_type is not None:
                yield target, card_type, self.made(engine, (target, card_type))

    def settled(self, engine: EngineName, done: Container[WorkItem]) -> Container[WorkItem]:
        """The items of an engine that this attempt does not request; `done` are those that are done."""
        return _Settled(self, engine, done, self._only) if self._asked else done


@dataclass(frozen=True, slots=True)
class _Settled(Container[WorkItem]):
    remakes: Remakes
    engine: EngineName
    done: Container[WorkItem]
    only: frozenset[_Key] | None

    def __contains__(self, item: object) -> bool:
        if not isinstance(item, tuple):
            return False
        if self.only is not None and (self.engine, item) not in self.only:
            return True
        return item in self.done and not self.remakes.number(self.engine, item)

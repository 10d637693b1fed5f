"""Reruns: which items people have asked to have made again, and which of these are still open.

A rerun has the number of the attempt that opened it. It is open until a done result of its item has this number or a
higher one. Meanwhile the item stays done in all totals.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from job.engines.catalog import EngineName
from job.ledger.result import CallResult
from job.ledger.totals import Count


class RerunKey(NamedTuple):
    """Identifies an item among all items of a day, whatever its config: the same card of another date is another."""

    engine: EngineName
    target: str
    card_type: str | None
    date: str
    """The date that it is requested for; empty for an engine that takes none."""


class Rerun(NamedTuple):
    """A request to make an item again."""

    engine: EngineName
    target: str
    card_type: str | None
    date: str
    number: Count
    """The number of the attempt that opened it."""


class Reruns:
    """All reruns of a day. Results may be added in any order."""

    def __init__(self, asked: Iterable[Rerun] = ()) -> None:
        self._asked = {RerunKey(*one[:-1]): one.number for one in asked}
        self._made: dict[RerunKey, int] = {}
        """The highest number of a done result."""

    def __bool__(self) -> bool:
        return bool(self._asked)

    def __iter__(self) -> Iterator[Rerun]:
        return (Rerun(*key, number) for key, number in self._asked.items())

    def ask(self, keys: Iterable[RerunKey], number: int) -> None:
        """Opens a rerun with this number for each item that has no open one."""
        for key in keys:
            if not self.number(key):
                self._asked[key] = number

    def add(self, result: CallResult) -> None:
        """Adds a result."""
        if result.done and result.again:
            for target in result.targets:
                key = RerunKey(result.engine, target, result.card_type, result.date)
                self._made[key] = max(result.again, self._made.get(key, 0))

    def asked_as(self, key: RerunKey) -> int:
        """The number of the latest rerun of an item, whether or not it is open; 0 if there is none."""
        return self._asked.get(key, 0)

    def number(self, key: RerunKey) -> int:
        """The number of the open rerun of an item; 0 if there is none."""
        asked = self.asked_as(key)
        return asked if asked > self._made.get(key, 0) else 0

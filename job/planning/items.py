"""Items: what a plan accounts for, and which of it is done, failed or cut off, in one byte an item."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from job.engines.calls import WorkItem
from job.engines.catalog import ALL_ENGINES, EngineName
from job.engines.failures import Cause
from job.planning.plan import Plan

MissingState = Literal["failed", "cut_off", "not_attempted"]

_OPEN, _FAILED, _DONE = 0, 1, 255
_CODES: Mapping[str, int] = {cause: code for code, cause in enumerate(Cause, _FAILED + 1)}
"""The byte of an item that failed, by why; `_FAILED` if that is not known."""
_CAUSES: Mapping[int, Cause] = {code: cause for cause, code in zip(Cause, _CODES.values(), strict=True)}


@dataclass(frozen=True, slots=True)
class MissingItem:
    """An item that is not done."""

    target: str
    card_type: str | None
    state: MissingState
    cause: Cause | None
    """Why it failed, if that is known."""


class EngineItems:
    """The items of one engine: each is open, failed or done. What is done stays done, in whatever order this is learnt.

    Contains the items that are done, and has their number as its length: a million items take a megabyte, not a set.
    """

    def __init__(self, plan: Plan, engine: EngineName) -> None:
        self._places: dict[str, tuple[int, tuple[str | None, ...]]] = {}
        size = 0
        for target, names in plan.items_by_target(engine):
            self._places[target] = (size, names)
            size += len(names)
        self._states = bytearray(size)
        self._failed_at: dict[int, float] = {}
        """When each item that failed did so for the last time, by its place."""

    def __contains__(self, item: object) -> bool:
        place = self._place(item)
        return place is not None and self._states[place] == _DONE

    def __len__(self) -> int:
        return self._states.count(_DONE)

    def has(self, item: WorkItem) -> bool:
        """Whether the plan has the item."""
        return self._place(item) is not None

    @property
    def planned(self) -> int:
        """The number of all items."""
        return len(self._states)

    @property
    def failed(self) -> int:
        """The number of items that failed, or were cut off, and were not done by any attempt at the run."""
        return self.planned - len(self) - self._states.count(_OPEN)

    @property
    def cut_off(self) -> int:
        """The number of these that the end of the run cut off."""
        return self._states.count(_CODES[Cause.INTERRUPTED])

    def has_failed(self, item: WorkItem) -> bool:
        """Whether the item failed, or was cut off, and was not done by any attempt at the run."""
        place = self._place(item)
        return place is not None and self._states[place] not in {_OPEN, _DONE}

    def missing(self) -> Iterator[MissingItem]:
        """Every item that is not done, in the order of the plan."""
        for target, (start, names) in self._places.items():
            for place, name in enumerate(names, start):
                code = self._states[place]
                if code != _DONE:
                    yield _missing(target, name, code)

    def mark(self, item: WorkItem, *, cause: str | None, ended: float) -> None:
        """Notes a result of an item: why it failed, `None` if it is done. Of several failures the latest counts.

        Raises `LookupError` if the plan does not have the item.
        """
        place = self._place(item)
        if place is None:
            raise LookupError(item)
        if cause is None:
            self._states[place] = _DONE
            self._failed_at.pop(place, None)
        elif self._states[place] != _DONE and ended >= self._failed_at.get(place, ended):
            self._states[place] = _CODES.get(cause, _FAILED)
            self._failed_at[place] = ended

    def _place(self, item: object) -> int | None:
        target, card_type = item if isinstance(item, tuple) else (None, None)
        start, names = self._places.get(target, (0, ()))
        return start + names.index(card_type) if card_type in names else None


def _missing(target: str, card_type: str | None, code: int) -> MissingItem:
    if code == _OPEN:
        return MissingItem(target, card_type, "not_attempted", None)
    cause = _CAUSES.get(code)
    return MissingItem(target, card_type, "cut_off" if cause is Cause.INTERRUPTED else "failed", cause)


def items_of(plan: Plan) -> Mapping[EngineName, EngineItems]:
    """The items of every engine, all of them open."""
    return {engine: EngineItems(plan, engine) for engine in ALL_ENGINES}

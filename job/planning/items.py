"""Items: the state of every item of a plan (open, done, failed or cut off), in a few bytes per item."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from job.engines.calls import WorkItem
from job.engines.catalog import ALL_ENGINES, EngineName
from job.engines.failures import Cause
from job.planning.plan import Plan

MissingState = Literal["failed", "cut_off", "not_attempted"]
ItemState = Literal["done"] | MissingState

_OPEN, _FAILED, _DONE = 0, 1, 255
_CODES: Mapping[str, int] = {cause: code for code, cause in enumerate(Cause, _FAILED + 1)}
"""The byte for a failed item, by its cause; `_FAILED` if the cause is not known."""
_CAUSES: Mapping[int, Cause] = {code: cause for cause, code in zip(Cause, _CODES.values(), strict=True)}


@dataclass(frozen=True, slots=True)
class MissingItem:
    """An item that is not done."""

    target: str
    card_type: str | None
    state: MissingState
    cause: Cause | None
    """Why it failed, if that is known."""


@dataclass(frozen=True, slots=True)
class ItemStatus:
    """The state of an item."""

    target: str
    card_type: str | None
    state: ItemState
    cause: Cause | None
    """As in `MissingItem`."""
    attempts: int
    """Attempts of the call that did the item, or that failed last; 0 without one."""
    ended: float
    """When the last of these attempts ended, in seconds since 1970; 0 without one."""


class EngineItems:
    """The items of one engine. An item that is done stays done, in whatever order its results are added.

    As a container it holds the items that are done. A million items take 11 MB, much less than in a set.
    """

    def __init__(self, plan: Plan, engine: EngineName) -> None:
        self._places: dict[str, tuple[int, tuple[str | None, ...]]] = {}
        size = 0
        for target, names in plan.items_by_target(engine):
            self._places[target] = (size, names)
            size += len(names)
        self._states = bytearray(size)
        self._ended = array("d", bytes(8 * size))
        """When each item was done, or failed last; `_attempts` holds the attempts of that call."""
        self._attempts = array("H", bytes(2 * size))

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
        """The number of items that failed or were cut off, and that no attempt at the run has done."""
        return self.planned - len(self) - self._states.count(_OPEN)

    @property
    def cut_off(self) -> int:
        """How many of `failed` were cut off by the end of the run."""
        return self._states.count(_CODES[Cause.INTERRUPTED])

    def has_failed(self, item: WorkItem) -> bool:
        """Whether the item failed or was cut off, and no attempt at the run has done it."""
        place = self._place(item)
        return place is not None and self._states[place] not in {_OPEN, _DONE}

    def missing(self) -> Iterator[MissingItem]:
        """Every item that is not done, in the order of the plan."""
        for target, (start, names) in self._places.items():
            for place, name in enumerate(names, start):
                code = self._states[place]
                if code != _DONE:
                    yield _missing(target, name, code)

    def failures(self) -> Iterator[MissingItem]:
        """Every item that failed and was not cut off, in the order of the plan."""
        if self.failed > self.cut_off:  # skips the loop over all items if there are none
            yield from (item for item in self.missing() if item.state == "failed")

    def done_of(self, target: str) -> int:
        """How many items of a target are done."""
        start, names = self._places.get(target, (0, ()))
        return self._states.count(_DONE, start, start + len(names))

    def of(self, target: str) -> Sequence[ItemStatus]:
        """The state of each item of a target, in the order of the plan."""
        start, names = self._places.get(target, (0, ()))
        return [self._status(target, name, place) for place, name in enumerate(names, start)]

    def mark(self, item: WorkItem, *, cause: str | None, ended: float, attempts: int = 1) -> None:
        """Adds a result of an item; `cause` is `None` if it is done. Of several failures the latest counts.

        Raises `LookupError` if the plan does not have the item.
        """
        place = self._place(item)
        if place is None:
            raise LookupError(item)
        was_done, is_done = self._states[place] == _DONE, cause is None
        if (is_done and not was_done) or (is_done == was_done and ended >= self._ended[place]):
            self._states[place] = _DONE if cause is None else _CODES.get(cause, _FAILED)
            self._ended[place] = ended
            self._attempts[place] = min(attempts, 0xFFFF)

    def _status(self, target: str, name: str | None, place: int) -> ItemStatus:
        code, attempts, ended = self._states[place], self._attempts[place], self._ended[place]
        if code == _DONE:
            return ItemStatus(target, name, "done", None, attempts, ended)
        item = _missing(target, name, code)
        return ItemStatus(target, name, item.state, item.cause, attempts, ended)

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

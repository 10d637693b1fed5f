"""Items: the state of every item of a plan (open, done, failed, cut off or left out), in a few bytes per item."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from job.config.plan import Plan
from job.day.counts import Counts, ItemState
from job.engines.calls import Item
from job.engines.catalog import ALL_ENGINES, EngineName
from job.engines.failures import Cause

# The state of an item is a byte: one of these codes, or that of its cause.
_OPEN, _FAILED, _DONE, _WITH_ERROR = 0, 1, 0x3F, 0x40
_CODES: Mapping[str, int] = {cause: code for code, cause in enumerate(Cause, _FAILED + 1)}
"""The code of a failed item, by its cause."""
_CAUSES: Mapping[int, Cause] = {code: cause for cause, code in zip(Cause, _CODES.values(), strict=True)}
_INTERRUPTED = _CODES[Cause.INTERRUPTED]


class ItemStatus(NamedTuple):
    """The state of an item."""

    item: Item
    state: ItemState
    cause: Cause | None
    """Why it failed, if that is known."""
    tries: int = 0
    """Tries of the call that did the item, or that failed last; 0 without one."""
    ended: float = 0.0
    """When the last of these tries ended, in seconds since 1970; 0 without one."""

    @property
    def is_done(self) -> bool:
        """Whether it is done, with an error besides or not."""
        return self.state in {"done", "with_error"}


class EngineItems:
    """The items of one engine. Results may be added in any order and more than once: the states are the same.

    An item that is done stays done. One that is left out is either done or left out, whatever became of it before. As a
    container it holds the items that are done. A million items take 11 MB, much less than in a set.
    """

    def __init__(self, plan: Plan, engine: EngineName) -> None:
        self._places: dict[str, tuple[int, tuple[str | None, ...]]] = {}
        self._engine, self._left_out = engine, plan.left_out
        size = left_out = 0
        for target, names in plan.items_by_target(engine):
            self._places[target] = (size, names)
            size += len(names)
            left_out += len(names) if target in plan.left_out else 0
        self._states = bytearray(size)
        self._ended = array("d", [0.0]) * size
        """When each item was done, or failed last; `_tries` holds the tries of that call."""
        self._tries = array("H", [0]) * size
        self.counts = Counts.of(size)
        self.counts.add("left_out", left_out)

    def __contains__(self, item: object) -> bool:
        place = self._place(item) if isinstance(item, Item) else None
        return place is not None and self._states[place] >= _DONE

    def has(self, item: Item) -> bool:
        """Whether the plan has the item."""
        return self._place(item) is not None

    @property
    def is_complete(self) -> bool:
        """Whether every item is done or left out."""
        return not self.counts.missing

    def has_failed(self, item: Item) -> bool:
        """Whether the item failed or was cut off, and nothing has done it."""
        place = self._place(item)
        return place is not None and _OPEN < self._states[place] < _DONE

    def has_error(self, item: Item) -> bool:
        """Whether the item is done, and the engine reported an error besides."""
        place = self._place(item)
        return place is not None and self._states[place] == _WITH_ERROR

    def missing(self) -> Iterator[ItemStatus]:
        """Every item that is not done, in the order of the plan."""
        for target, (start, names) in self._places.items():
            for place, name in enumerate(names, start):
                if self._states[place] < _DONE:
                    yield self._status(target, name, place)

    def with_error(self) -> Iterator[Item]:
        """Every item that is done with an error besides, in the order of the plan."""
        for target, (start, names) in self._places.items():
            for place, name in enumerate(names, start):
                if self._states[place] == _WITH_ERROR:
                    yield Item(self._engine, target, name)

    def done_of(self, target: str) -> int:
        """How many items of a target are done."""
        start, names = self._places.get(target, (0, ()))
        return sum(code >= _DONE for code in self._states[start : start + len(names)])

    def of(self, target: str) -> Sequence[ItemStatus]:
        """The state of each item of a target, in the order of the plan."""
        start, names = self._places.get(target, (0, ()))
        return [self._status(target, name, place) for place, name in enumerate(names, start)]

    def ended(self, item: Item) -> float:
        """When the item was done, or failed last, as in `ItemStatus`; 0 if the plan lacks it."""
        place = self._place(item)
        return 0.0 if place is None else self._ended[place]

    def mark(self, item: Item, *, cause: str | None, ended: float, tries: int = 1, has_error: bool = False) -> None:
        """Adds a result of an item; `cause` is `None` if it is done. Of several failures the latest counts.

        Raises `LookupError` if the plan does not have the item.
        """
        place = self._place(item)
        if place is None:
            raise LookupError(item)
        done = _WITH_ERROR if has_error else _DONE
        code = done if cause is None else code_of(cause)
        if code < _DONE and item.target in self._left_out:
            return
        tries = min(tries, 0xFFFF)
        known = self._states[place]
        result = (code >= _DONE, ended, code, tries)
        if known == _OPEN or result > (known >= _DONE, self._ended[place], known, self._tries[place]):
            self._set(item.target, place, code, ended, tries)

    def reopen(self, item: Item) -> None:
        """Forgets all results of an item, which is missing from now on."""
        place = self._place(item)
        if place is not None:
            self._set(item.target, place, _OPEN, 0.0, 0)

    def _set(self, target: str, place: int, code: int, ended: float, tries: int) -> None:
        self._ended[place], self._tries[place] = ended, tries
        self.counts.add(self._state(target, place), -1)
        self._states[place] = code
        self.counts.add(self._state(target, place))

    def _state(self, target: str, place: int) -> ItemState:
        code = self._states[place]
        if code == _OPEN:
            return "left_out" if target in self._left_out else "not_attempted"
        if code >= _DONE:
            return "with_error" if code == _WITH_ERROR else "done"
        return "cut_off" if code == _INTERRUPTED else "failed"

    def _status(self, target: str, name: str | None, place: int) -> ItemStatus:
        cause = _CAUSES.get(self._states[place])
        item = Item(self._engine, target, name)
        return ItemStatus(item, self._state(target, place), cause, self._tries[place], self._ended[place])

    def _place(self, item: Item) -> int | None:
        start, names = self._places.get(item.target, (0, ()))
        return start + names.index(item.card_type) if item.card_type in names else None


def code_of(cause: str | None) -> int:
    """The code of an item that failed with this cause. Of failures that ended together, that with the higher code
    counts, so that their order does not matter."""
    return _CODES.get(cause or "", _FAILED)


def items_of(plan: Plan) -> Mapping[EngineName, EngineItems]:
    """The items of every engine, all of them open."""
    return {engine: EngineItems(plan, engine) for engine in ALL_ENGINES}

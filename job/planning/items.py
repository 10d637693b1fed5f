"""Items: what a plan accounts for, and which of it is done or failed, in one byte an item."""

from collections.abc import Mapping

from job.engines.calls import WorkItem
from job.engines.catalog import ALL_ENGINES, EngineName
from job.planning.plan import Plan

_FAILED, _DONE = 1, 2


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
        """The number of items that failed and were not done by any attempt at the run."""
        return self._states.count(_FAILED)

    def has_failed(self, item: WorkItem) -> bool:
        """Whether the item failed and was not done by any attempt at the run."""
        place = self._place(item)
        return place is not None and self._states[place] == _FAILED

    def mark(self, item: WorkItem, *, done: bool) -> None:
        """Notes what a result says of an item. Raises `LookupError` if the plan does not have it."""
        place = self._place(item)
        if place is None:
            raise LookupError(item)
        self._states[place] = max(self._states[place], _DONE if done else _FAILED)

    def _place(self, item: object) -> int | None:
        target, card_type = item if isinstance(item, tuple) else (None, None)
        start, names = self._places.get(target, (0, ()))
        return start + names.index(card_type) if card_type in names else None


def items_of(plan: Plan) -> Mapping[EngineName, EngineItems]:
    """The items of every engine, all of them open."""
    return {engine: EngineItems(plan, engine) for engine in ALL_ENGINES}

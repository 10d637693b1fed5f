"""Card order: which card of a plan starts next. The order is not part of the plan."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

from job.engines.calls import Call, WorkItem
from job.planning.plan import Plan


def slowest_first(card_types: Iterable[str], medians: Mapping[str, float]) -> list[str]:
    """The card types whose median is known, the slowest first. The sort is stable."""
    return sorted((name for name in card_types if name in medians), key=lambda name: medians[name], reverse=True)


class CardOrder(Iterator[Call]):
    """The cards of a plan that are not done, each once. Calls are made lazily, as there may be a million.

    First come all cards of the types whose median is known, the slowest type first: the run would have to wait for a
    slow card that starts last. Then the rest in the order of the config, target by target.
    """

    def __init__(self, plan: Plan, done: Container[WorkItem], medians: Callable[[], Mapping[str, float]]) -> None:
        """`medians` returns the median seconds of each card type in an earlier run; they are used once known."""
        self._plan = plan
        self._done = done
        self._medians = medians
        self._slowest: Sequence[str] = ()
        self._row = 0
        self._rows = dict.fromkeys((name for target in plan.targets for name in target.card_types), 0)
        """For each card type, the index of the first target that has not been examined for it."""

    @property
    def card_types(self) -> Sequence[str]:
        """The card types of the plan that are not left out, in the config's order."""
        return list(self._rows)

    def __next__(self) -> Call:
        if not self._slowest:
            self._slowest = slowest_first(self._rows, self._medians())
        for card_type in self._slowest:
            if (call := self.next_of(card_type)) is not None:
                return call
        while self._row < len(self._plan.targets):
            target = self._plan.targets[self._row]
            for card_type in target.card_types:
                if self._rows.get(card_type, self._row + 1) <= self._row:
                    self._rows[card_type] = self._row + 1
                    if (target.id, card_type) not in self._done:
                        return self._plan.card_call(target, card_type)
            self._row += 1
        raise StopIteration

    def next_of(self, card_type: str) -> Call | None:
        """The next card of a type; `None` if there is none, or if the type is left out."""
        targets = self._plan.targets
        while (row := self._rows.get(card_type, len(targets))) < len(targets):
            self._rows[card_type] = row + 1
            if card_type in targets[row].card_types and (targets[row].id, card_type) not in self._done:
                return self._plan.card_call(targets[row], card_type)
        return None

    def leave_out(self, card_type: str) -> None:
        """Drops the remaining cards of this type."""
        self._rows.pop(card_type, None)

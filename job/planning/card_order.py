"""The order of the cards: which card of a plan starts next. It is no part of the plan."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

from job.engines.calls import Call, WorkItem
from job.planning.plan import Plan


def slowest_first(card_types: Iterable[str], medians: Mapping[str, float]) -> list[str]:
    """The card types whose median is known, the slowest first; of equal ones the first stays first."""
    return sorted((name for name in card_types if name in medians), key=lambda name: medians[name], reverse=True)


class CardOrder(Iterator[Call]):
    """The cards of a plan that are not done, each once, and made when it is needed: there may be a million.

    First come all cards of the types whose median is known, the slowest type first: a slow card that starts last keeps
    all others waiting. Then the rest, as the config has it: target by target. So it is all along without any median.
    """

    def __init__(self, plan: Plan, done: Container[WorkItem], medians: Callable[[], Mapping[str, float]]) -> None:
        """`medians` gives the seconds of each card type in an earlier run; they count from when they are there."""
        self._plan = plan
        self._done = done
        self._medians = medians
        self._slowest: Sequence[str] = ()
        self._row = 0
        self._rows = dict.fromkeys((name for target in plan.targets for name in target.card_types), 0)
        """Of each card type: the targets, from the first on, that need not be looked at again."""

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
        """No further card of this type comes."""
        self._rows.pop(card_type, None)

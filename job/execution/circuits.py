"""Circuit breakers: when to stop requesting cards of one type, while others are made."""

from collections import Counter

from job.day.ledger import SetAside
from job.engines.failures import Failure
from job.execution.availability import Availability
from job.execution.progress import EventHandler
from job.text.messages import message

IN_A_ROW = 20


class CardCircuits:
    """A circuit breaker for each card type: it opens after 20 tries in a row that were used up, if others are made.

    Only outages count (`Failure.is_outage`); any answer of the engine's own about the type resets its count.
    """

    def __init__(self, engine: Availability, emit: EventHandler) -> None:
        """`emit` gets a `SetAside` for each type whose breaker opens."""
        self._engine = engine
        self._emit = emit
        self._in_a_row: Counter[str | None] = Counter()
        self._since: dict[str | None, float] = {}
        """When the first try in a row failed, by trio's clock."""
        self._open: set[str | None] = set()

    def is_open(self, card_type: str | None) -> bool:
        """Whether no card of this type is requested any more."""
        return card_type in self._open

    def record(self, card_type: str | None, failure: Failure | None, now: float, *, is_used_up: bool) -> None:
        """Adds a try that has just ended, at `now`."""
        if failure is None or failure.is_own_answer:
            self._in_a_row.pop(card_type, None)
            self._since.pop(card_type, None)
        elif is_used_up and failure.is_outage and card_type not in self._open:
            self._in_a_row[card_type] += 1
            since = self._since.setdefault(card_type, now)
            if self._in_a_row[card_type] >= IN_A_ROW and self._engine.has_worked_since(since):
                self._open.add(card_type)
                reason = message(
                    "Card type {card_type} is set aside, since {count} tries at its cards failed in a row: the rest of "
                    "them is not requested",
                    card_type=card_type or "",
                    count=IN_A_ROW,
                )
                self._emit(SetAside(card_type=card_type or "", reason=reason))

"""Circuit breakers: when to stop requesting cards of one type, or any cards, as the QA engine is down."""

from collections import Counter
from collections.abc import Iterator
from math import inf

from job.engines.calls import Call
from job.engines.failures import Failure
from job.execution.progress import EventHandler
from job.ledger.ledger import SetAside
from job.text.messages import message

IN_A_ROW = 20


class CardCircuits(Iterator[Call]):
    """The cards in their order, without those of card types that were set aside.

    A card counts as failed here if the engine could not be reached for it; any answer that could be read resets the
    counts. After 20 failures in a row of one type, the type is set aside: the rest of its cards is not requested. After
    20 in a row of several types, the engine is down.
    """

    def __init__(self, cards: Iterator[Call], emit: EventHandler) -> None:
        """`emit` gets a `SetAside` for each type that is set aside."""
        self._cards = cards
        self._emit = emit
        self._in_a_row = 0
        self._of_type: Counter[str | None] = Counter()
        """For each card type, its failures in a row."""
        self._set_aside: set[str | None] = set()

    def __next__(self) -> Call:
        return next(card for card in self._cards if card.card_type not in self._set_aside)

    def max_in_flight(self) -> float:
        """How many cards may be in flight: after failures in a row, only as many as are needed to end the requests."""
        return IN_A_ROW - self._in_a_row if self._in_a_row else inf

    def record(self, card_type: str, failure: Failure | None) -> bool:
        """Counts a card that is made or has failed for good. Returns whether the engine is down."""
        if failure is None or not failure.is_outage:
            self._in_a_row = self._of_type[card_type] = 0
        elif card_type not in self._set_aside:  # else it was in flight when its type was set aside
            self._in_a_row += 1
            self._of_type[card_type] += 1
            if self._of_type[card_type] == IN_A_ROW:
                self._in_a_row = 0
                self._set_aside.add(card_type)
                reason = message(
                    "Card type {card_type} is set aside, since {count} of its cards failed in a row: the rest of them "
                    "is not requested",
                    card_type=card_type,
                    count=IN_A_ROW,
                )
                self._emit(SetAside(card_type=card_type, reason=reason))
        return self._in_a_row >= IN_A_ROW

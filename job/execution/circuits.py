"""Circuit breakers: when to stop calling an engine that is down, or requesting cards of one type."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from job.engines.calls import Call
from job.engines.failures import Failure, remedy
from job.execution.events import EventHandler
from job.ledger.ledger import SetAside
from job.planning.card_order import CardOrder
from job.text.messages import message

IN_A_ROW = 20
AT_LEAST = 50


@dataclass(slots=True)
class CircuitBreaker:
    """Counts calls that failed because the engine could not be reached. It opens once, and never closes again.

    An answer that was read does not count.
    """

    finished: int = 0
    failed: int = 0
    in_a_row: int = 0

    @property
    def was_reached(self) -> bool:
        """Whether the engine gave any answer that was read."""
        return self.finished > self.failed

    def max_in_flight(self) -> float:
        """How many calls may be in flight: after failures in a row, only as many as are needed to open the circuit."""
        return IN_A_ROW - self.in_a_row if self.in_a_row else inf

    def record(self, failure: Failure | None) -> bool:
        """Counts a finished call. Returns whether the circuit is open, so that no further call should start."""
        self.finished += 1
        if failure is not None and failure.is_outage:
            self.failed += 1
            self.in_a_row += 1
        else:
            self.in_a_row = 0
        return self.in_a_row >= IN_A_ROW or (self.finished >= AT_LEAST and self.failed * 2 > self.finished)


TRIED = 5
"""Maximum number of card types of which one more card is tried before the engine counts as down."""


class CardCircuits(Iterator[Call]):
    """The cards in their order, without those of card types that were set aside.

    A type whose circuit opens is set aside: the rest of its cards is not requested. The engine has a circuit too, for
    the cards of all types together; an answered card of any type resets its count of failures in a row. When it opens,
    one card of each other type is tried next, five at most, and nothing else starts. If all these fail as well, the
    engine is down.
    """

    def __init__(self, order: CardOrder, emit: EventHandler) -> None:
        """`emit` gets a `SetAside` for each type that is set aside."""
        self._order = order
        self._emit = emit
        self._types = {name: CircuitBreaker() for name in order.card_types}
        self._engine = CircuitBreaker()
        self._tries: deque[Call] = deque()
        self._is_trying = False
        self._in_flight = 0

    def __next__(self) -> Call:
        call = self._tries.popleft() if self._tries else next(self._order)
        self._in_flight += 1
        return call

    def max_in_flight(self) -> float:
        """How many cards may be in flight before the next one starts."""
        if self._is_trying:
            return inf if self._tries else 0
        return self._engine.max_in_flight()

    def record(self, card_type: str, failure: Failure | None) -> bool:
        """Counts a card that is made or has failed for good. Returns whether the engine is down."""
        self._in_flight -= 1
        opens = self._types[card_type].record(failure) and card_type in self._order.card_types
        is_open = self._engine.record(failure)
        if opens and failure is not None:
            self._set_aside(card_type, failure)
        if failure is None or not failure.is_outage:
            if self._is_trying:
                self._reset_engine()
        elif is_open and not self._is_trying:
            self._try_others(card_type)
        return self._is_trying and not self._tries and not self._in_flight

    def _set_aside(self, card_type: str, failure: Failure) -> None:
        self._order.leave_out(card_type)
        circuit = self._types[card_type]
        reason = message(
            "Card type {card_type} is set aside, since {failed} of {finished} cards failed: the rest of them is not "
            "requested. Last answer: {answer}",
            card_type=card_type,
            failed=circuit.failed,
            finished=circuit.finished,
            answer=failure.reason,
        )
        cure = remedy("qa", failure.cause, failure.status, failure.reason, batch=1)
        what = message("{remedy} Then a resume requests the cards of this type that are missing.", remedy=cure.what)
        self._emit(SetAside(card_type=card_type, reason=reason, remedy=what))

    def _try_others(self, card_type: str) -> None:
        """Tries a card of each other type, first of the types with the fewest failures."""
        for name in sorted(self._order.card_types, key=lambda name: self._types[name].failed):
            if len(self._tries) < TRIED and (call := self._order.next_of(name)) is not None:
                self._tries.append(call)
        was_reached = any(self._types[name].was_reached for name in self._types if name != card_type)
        if self._tries or not was_reached:
            self._is_trying = True
        else:  # no card is left to try, and another type was answered: only this type fails
            self._reset_engine()

    def _reset_engine(self) -> None:
        """Closes the engine's circuit, since the engine answers. Earlier failures count only for their card types."""
        self._is_trying = False
        self._engine = CircuitBreaker()

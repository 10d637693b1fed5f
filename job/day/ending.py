"""Ending: how a start has ended, or in which state it is. `day/summary` makes the report of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from job.day.attempt import ExitCode, Outcome
from job.day.ledger import Ledger
from job.day.result import EngineFailedError, ShutdownReason
from job.text.messages import Message, colon

_STOPS: Mapping[ShutdownReason, Outcome] = {
    ShutdownReason.DEADLINE: Outcome.DEADLINE,
    ShutdownReason.LEASE_LOST: Outcome.BUSY,
    ShutdownReason.BUG: Outcome.UNFORESEEN,
}
"""A signal interrupts."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known of an end besides the results. Each is as in `Report`."""

    outcome: Outcome
    signal: ExitCode | None = None
    """The exit code of the signal that has interrupted it."""
    detail: Message | None = None
    why: Message | None = None
    done_since: datetime | None = None

    @property
    def exit_code(self) -> ExitCode | None:
        return self.signal if self.outcome.exit is None else self.outcome.exit


def ending_of(
    ledger: Ledger | None,
    reason: ShutdownReason | None,
    error: EngineFailedError | None = None,
    not_renewed: Message | None = None,
) -> Ending:
    """How an attempt ended. `error` is the failure of the data phase, `reason` is why the start was shut down.

    `ledger` is `None` if it was shut down before it had a plan. `not_renewed` is as in `Shutdown`.
    """
    if error is not None and ledger is not None:
        return Ending(Outcome.DATA_ENGINE_FAILED, detail=colon(error.result.label, error.result.reason or ""))
    if ledger is not None and ledger.is_complete and reason is not ShutdownReason.BUG:
        return Ending(Outcome.SUCCEEDED)
    if ledger is not None and reason in {None, ShutdownReason.QA_DOWN}:
        is_down = _made_none(ledger) if reason is None else _is_down(ledger)
        return Ending(Outcome.QA_ENGINE_DOWN if is_down else Outcome.CARDS_MISSING)
    if reason is ShutdownReason.LEASE_LOST and not_renewed is not None:
        return Ending(Outcome.STORAGE_FAILED, detail=not_renewed)
    reason = reason or ShutdownReason.SIGTERM
    outcome = _STOPS.get(reason, Outcome.INTERRUPTED)
    return Ending(outcome, signal=ExitCode[reason.name] if outcome is Outcome.INTERRUPTED else None)


def _is_down(ledger: Ledger) -> bool:
    """Whether it is the QA engine that has failed when no more cards are tried: not if some are made, and each that was
    not tried had failed in an earlier attempt, or is of a type of which none is.
    """
    made, failed = {call.card_type for call in ledger.calls["qa"] if call.done}, ledger.failed_cards()
    left = [card.item for card in ledger.missing("qa") if card.state == "not_attempted"]
    return not made or not left or any(item.card_type in made and item not in failed for item in left)


def _made_none(ledger: Ledger) -> bool:
    """Whether every card was tried and none was made, though the QA engine refused none of them."""
    cards = ledger.counts("qa")
    has_refused = any(call.engine == "qa" and call.is_refusal for call in ledger.failures)
    return not cards.done and cards.failed - cards.cut_off == cards.missing > 0 and not has_refused

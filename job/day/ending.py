"""Ending: how a start has ended, or in which state it is, as facts: `telling/sentence` puts them into words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from job.day.attempt import ExitCode, Outcome
from job.day.ledger import Ledger
from job.day.result import EngineFailedError, ShutdownReason
from job.text.messages import Message, colon

_STOPS: Mapping[ShutdownReason, Outcome] = {
    ShutdownReason.QA_DOWN: Outcome.QA_ENGINE_DOWN,
    ShutdownReason.DEADLINE: Outcome.DEADLINE,
    ShutdownReason.LEASE_LOST: Outcome.BUSY,
    ShutdownReason.BUG: Outcome.UNFORESEEN,
}
"""A signal interrupts."""


@dataclass(frozen=True, slots=True)
class Ending:
    outcome: Outcome
    signal: Annotated[ExitCode | None, Field(validation_alias="exit_code")] = None
    """The exit code of the signal that has interrupted it."""
    answer: Annotated[Message | None, Field(validation_alias="detail")] = None
    """What the call that has ended it, or storage, was answered; or which other start is at work. Not for chats."""

    # All else is in no record.
    why: Message | None = None
    """Why it did not begin, if that is known."""
    done_since: datetime | None = None
    """Since when the day has been done, if nothing was left for this start."""
    breaks_off: datetime | None = None
    """When the record of a killed start breaks off."""
    is_repeated: bool = False
    """Whether an earlier try of this execution has ended so, and this one called nothing."""

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
        return Ending(Outcome.DATA_ENGINE_FAILED, answer=colon(error.result.label, error.result.reason or ""))
    if ledger is not None and ledger.is_complete and reason is not ShutdownReason.BUG:
        return Ending(Outcome.SUCCEEDED)
    if ledger is not None and reason is None:
        return Ending(Outcome.QA_ENGINE_DOWN if _made_none(ledger) else Outcome.CARDS_MISSING)
    if reason is ShutdownReason.LEASE_LOST and not_renewed is not None:
        return Ending(Outcome.STORAGE_FAILED, answer=not_renewed)
    reason = reason or ShutdownReason.SIGTERM
    outcome = _STOPS.get(reason, Outcome.INTERRUPTED)
    return Ending(outcome, signal=ExitCode[reason.name] if outcome is Outcome.INTERRUPTED else None)


def _made_none(ledger: Ledger) -> bool:
    """Whether every card was tried and none was made, though the QA engine refused none of them."""
    cards = ledger.counts("qa")
    has_refused = any(call.engine == "qa" and call.is_refusal for call in ledger.failures)
    return not cards.done and cards.failed - cards.cut_off == cards.missing > 0 and not has_refused

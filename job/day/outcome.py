"""Outcome: how a start can end, and what is fixed for each way: words, exit code, gravity. `ABOUT` has it all."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Literal

from job.text.messages import Message, message, template

Severity = Literal["good", "warn", "bad"]
Mark = Literal["✓", "✗", "!", " ", ""]
"""Before a line: a success, a failure, a warning, more about the line before, or none."""
SIGNS: Mapping[Severity, Mark] = {"good": "✓", "warn": "!", "bad": "✗"}
"""What a title begins with."""


class ExitCode(IntEnum):
    """The exit codes. They are a contract with schedulers and people: the meaning of a code never changes."""

    DONE = 0
    FAILED = 1
    """A run: a data engine failed, so no card was requested. `check`, `verify` and `notify`: the answer is no."""
    USAGE = 2
    """Configuration or usage is wrong: nothing was called."""
    CARDS_MISSING = 3
    DEADLINE = 4
    """The job's own deadline passed."""
    UNFORESEEN = 70
    """A bug (`EX_SOFTWARE` of sysexits.h); its traceback is on standard error."""
    BUSY = 75
    """Another start is at work or has taken over, or storage failed (`EX_TEMPFAIL`)."""
    SIGINT = 130
    SIGTERM = 143


class Outcome(StrEnum):
    """How an attempt ended, or in which state it is. The value is the word in records, logs and messages."""

    SUCCEEDED = "succeeded"
    CARDS_MISSING = "cards_missing"
    DATA_ENGINE_FAILED = "data_engine_failed"
    QA_ENGINE_DOWN = "qa_engine_down"
    DEADLINE = "deadline"
    INTERRUPTED = "interrupted"
    BUSY = "busy"
    """Another start is at work, and this one does not wait for it; or another one has taken over."""
    STORAGE_FAILED = "storage_failed"
    BAD_CONFIG = "bad_config"
    UNFORESEEN = "unforeseen"
    AT_WORK = "at work"
    """A state: the latest attempt has not ended, and according to the lease it is at work. Else it was killed."""
    KILLED = "killed"
    UNREADABLE = "unreadable"
    """A state: the record cannot be used."""

    @property
    def about(self) -> "About":
        """What is fixed for this outcome."""
        return ABOUT[self]


@dataclass(frozen=True, slots=True)
class About:
    """What is fixed for an outcome."""

    label: Message
    """For tables of nights."""
    exit: ExitCode | None
    """`None` if it depends on the signal, and for a state."""
    severity: Severity
    clause: Message | None = None
    """The beginning of the sentence about it, if that is not the label, nor depends on more."""
    next: str | None = None
    """The template of the sentence before the command that starts the job again, with a place for the `terms` of that;
    `None` if nothing is to be done.
    """

    @property
    def beginning(self) -> Message:
        """The beginning of the sentence about it, if nothing more is known."""
        return self.clause or self.label


_PUT_RIGHT = template("Once the cause is put right, this does only what is left{terms}:")
_GO_ON = template("This does only what is left{terms}:")

ABOUT: Mapping[Outcome, About] = {
    Outcome.SUCCEEDED: About(message("Succeeded"), ExitCode.DONE, "good"),
    Outcome.CARDS_MISSING: About(message("Not all made"), ExitCode.CARDS_MISSING, "bad", next=_PUT_RIGHT),
    Outcome.DATA_ENGINE_FAILED: About(message("Data engine failed"), ExitCode.FAILED, "bad", next=_PUT_RIGHT),
    Outcome.QA_ENGINE_DOWN: About(
        message("QA engine down"), ExitCode.CARDS_MISSING, "bad", message("The QA engine is down"), _PUT_RIGHT
    ),
    Outcome.DEADLINE: About(
        message("Deadline passed"), ExitCode.DEADLINE, "warn", message("The deadline passed"), _GO_ON
    ),
    Outcome.INTERRUPTED: About(message("Interrupted"), None, "warn", next=_GO_ON),
    Outcome.BUSY: About(message("Busy"), ExitCode.BUSY, "warn", message("Another start may have taken over"), _GO_ON),
    Outcome.STORAGE_FAILED: About(
        message("Storage failed"),
        ExitCode.BUSY,
        "bad",
        next=template("Once storage can be reached, this starts it again{terms}:"),
    ),
    Outcome.BAD_CONFIG: About(
        message("Config faulty"),
        ExitCode.USAGE,
        "bad",
        next=template("Once that is corrected, this starts it again{terms}:"),
    ),
    Outcome.UNFORESEEN: About(
        message("Bug in the job"), ExitCode.UNFORESEEN, "bad", message("The job has a bug"), _PUT_RIGHT
    ),
    Outcome.AT_WORK: About(message("At work"), None, "warn"),
    Outcome.KILLED: About(message("Killed"), None, "warn", next=_GO_ON),
    Outcome.UNREADABLE: About(message("Unreadable"), None, "bad"),
}

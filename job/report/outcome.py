"""Outcome: how a start can end, and what is fixed for each way: words, exit code, gravity. `ABOUT` has it all."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Literal

from job.text.messages import Message, message, template

Severity = Literal["good", "warn", "bad"]
SIGNS: Mapping[Severity, str] = {"good": "✓", "warn": "!", "bad": "✗"}
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

    word: Message
    """For tables of nights."""
    exit: ExitCode | None
    """`None` if it depends on the signal, and for a state."""
    severity: Severity
    sentence: str = ""
    """How the attempt ended: a template with a place for what is there of the `cards`."""
    next: str | None = None
    """The template of the sentence before the command that starts the job again, with a place for the `terms` of that;
    `None` if nothing is to be done.
    """


_PUT_RIGHT = template("Once the cause is put right, this does only what is left{terms}:")
_GO_ON = template("This does only what is left{terms}:")

ABOUT: Mapping[Outcome, About] = {
    Outcome.SUCCEEDED: About(message("succeeded"), ExitCode.DONE, "good"),
    Outcome.CARDS_MISSING: About(
        message("not all made"), ExitCode.CARDS_MISSING, "bad", template("{cards}"), _PUT_RIGHT
    ),
    Outcome.DATA_ENGINE_FAILED: About(message("data engine failed"), ExitCode.FAILED, "bad", next=_PUT_RIGHT),
    Outcome.QA_ENGINE_DOWN: About(
        message("QA engine down"), ExitCode.CARDS_MISSING, "bad", template("The QA engine is down: {cards}"), _PUT_RIGHT
    ),
    Outcome.DEADLINE: About(
        message("deadline passed"), ExitCode.DEADLINE, "warn", template("The deadline passed: {cards}"), _GO_ON
    ),
    Outcome.INTERRUPTED: About(
        message("interrupted"), None, "warn", template("Interrupted by {signal}: {cards}"), _GO_ON
    ),
    Outcome.BUSY: About(
        message("busy"),
        ExitCode.BUSY,
        "warn",
        template("Another start may have taken over: {cards}"),
        _GO_ON,
    ),
    Outcome.STORAGE_FAILED: About(
        message("storage failed"),
        ExitCode.BUSY,
        "bad",
        template("Storage failed: {cards}"),
        template("Once storage can be reached, this starts it again{terms}:"),
    ),
    Outcome.BAD_CONFIG: About(
        message("config faulty"),
        ExitCode.USAGE,
        "bad",
        next=template("Once that is corrected, this starts it again{terms}:"),
    ),
    Outcome.UNFORESEEN: About(
        message("bug in the job"), ExitCode.UNFORESEEN, "bad", template("The job has a bug: {cards}"), _PUT_RIGHT
    ),
    Outcome.AT_WORK: About(message("at work"), None, "warn", template("At work: {cards}")),
    Outcome.KILLED: About(message("killed"), None, "warn", template("Killed: {cards}"), _GO_ON),
    Outcome.UNREADABLE: About(message("unreadable"), None, "bad"),
}

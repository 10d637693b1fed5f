"""Result of a call: how it ended. The executor makes one for each call; the journal stores it as a line."""

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Annotated, Literal, NamedTuple

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from pydantic_core import to_json

from job.engines.calls import EngineName, Item, label_of
from job.engines.failures import Cause, FailureKind, handling_of
from job.errors import JobError
from job.text.messages import Message

Count = Annotated[int, Field(ge=0, lt=2**31)]
SECONDS_LIMIT = 1e9
Seconds = Annotated[float, Field(ge=0, le=SECONDS_LIMIT, allow_inf_nan=False)]
MissingState = Literal["failed", "cut_off", "not_attempted", "left_out"]
ItemState = Literal["done", "with_error"] | MissingState
EngineState = Literal["good", "odd", "warn", "bad", "none"]
"""All done; all done, some with an error; not all done; some failed; nothing planned, or not known."""


@dataclass(slots=True)
class Counts:
    """The items of one engine: `done`, `failed` and `not_attempted` add up to `planned`; and its calls, once reported.

    Items are cards for qa and targets for the others; calls may be batches. `job/reference.md` says what includes what.
    """

    planned: Count = 0
    done: Count = 0
    failed: Count = 0
    not_attempted: Count = 0
    cut_off: Count = 0
    left_out: Count = 0
    with_error: Count = 0
    calls: Count = 0
    """Calls that are done or failed. Parts of a batch that ended separately count separately."""
    retries: Count = 0
    waits: Count = 0
    p50_seconds: Seconds | None = None
    """The median of the calls that are done; `None` without any."""

    def add(self, state: ItemState, items: int = 1) -> None:
        """Items that were not attempted are in this state now; with a negative number, they are so no longer."""
        if state == "left_out":
            self.left_out += items
        elif state != "not_attempted":
            self.not_attempted -= items
            if state in {"done", "with_error"}:
                self.done += items
                self.with_error += items if state == "with_error" else 0
            else:
                self.failed += items
                self.cut_off += items if state == "cut_off" else 0

    @property
    def missing(self) -> int:
        """Planned items that are not done, and that nobody has left out."""
        return self.planned - self.done - self.left_out

    @property
    def not_reached(self) -> int:
        return self.missing - self.failed + self.cut_off

    @property
    def state(self) -> EngineState:
        if not self.planned:
            return "none"
        if not self.missing:
            return "odd" if self.with_error else "good"
        return "bad" if self.failed > self.cut_off else "warn"


Moment = Annotated[float, Field(ge=0, le=2e11, allow_inf_nan=False)]
"""Seconds since 1970. The limit allows calculations without overflow."""


class FailedTry(NamedTuple):
    started: Moment
    ended: Moment
    reason: Message


@with_config(ConfigDict(allow_inf_nan=False))
@dataclass(slots=True, kw_only=True)  # not frozen, which would take four times as long
class CallResult:
    """The result of one call: its targets are done, or have failed for good. Times are seconds since 1970.

    If only some targets of a batch were done, there is a result for these, and the others go on as another call.
    """

    engine: EngineName
    targets: Annotated[tuple[str, ...], Field(min_length=1)]
    card_type: str | None
    done: bool
    tries: Count
    retries: Count = 0
    """Tries that were followed by another. Those that the halves of a batch share are counted in one half only."""
    waits: Count = 0
    """How many of these retries waited for room: the engine had answered 429 or 503."""
    charged_tries: Count = 0
    """How many of the tries gave no usable answer, and may have cost money."""
    started: Moment
    """When its last try began; `ended` is when it ended."""
    ended: Moment
    status: Count | None
    cause: str | None
    """Why it failed, a `Cause`; `None` if it is done."""
    reason: Message | None = None
    """The last answer itself, or why there was none; `None` if it is done."""
    by_target: tuple[tuple[str, Message], ...] = ()
    """The answer about each target, if that of a batch has one for several."""
    account: str | None = None
    tried_seconds: Seconds | None = None
    warning: Message | None = None
    """What is odd about the answer, if it is done."""
    with_error: tuple[str, ...] = ()
    """The targets that the warning is about; empty if it is about all of them."""
    failed_tries: tuple[FailedTry, ...] = ()
    """The first try, and the latest before the last one."""
    traceparent: str
    limit: Count = 0
    """The engine's concurrency limit when the call ended; for the log, not stored."""
    attempt: Count = 0
    """The number of its attempt, which the name of its object has; 0 of the one that is at work."""
    interrupted_after: str | None = None
    """For a call that was cut off: why the try before failed, a `Cause`."""
    request: str = ""
    date: str = ""
    again: Count = 0
    """As in `Ledger.rerun_of`."""

    def line(self) -> bytes:
        """The line of the journal, without the line feed. It leaves out what has its default."""
        values = ((name, getattr(self, name), default) for name, default in _STORED.items())
        return to_json({name: value for name, value, default in values if value != default})

    @classmethod
    def parse(cls, line: bytes, attempt: int = 0) -> "CallResult":
        """The result in a line of the journal of an attempt. Raises `ValueError` if the job has not written it."""
        result = _RESULT.validate_json(line)
        result.attempt = attempt
        tries: tuple[CallResult | FailedTry, ...] = (result, *result.failed_tries)
        spans = (*(span.ended - span.started for span in tries), result.tried_seconds or 0.0)
        if not all(0 <= seconds <= SECONDS_LIMIT for seconds in spans):
            raise ValueError("no time of a try")
        return result

    @property
    def answers(self) -> list[Message]:
        """The last answer, or of a batch the one about each of its targets, if there is one."""
        own = [answer for target, answer in self.by_target if target in self.targets]
        return own or [self.reason or Message("")]

    @property
    def is_cut_off(self) -> bool:
        return self.cause == Cause.INTERRUPTED

    @property
    def has_failed(self) -> bool:
        """Whether a try of it failed: one that was cut off at its first try proves nothing."""
        return not self.done and (not self.is_cut_off or self.interrupted_after is not None)

    @property
    def is_refusal(self) -> bool:
        return handling_of(self.cause, self.status).kind is FailureKind.REFUSED

    @property
    def is_of_one_target(self) -> bool:
        """Whether the engine has answered for good that it does not do this target."""
        is_answer = self.cause == Cause.DENIED or (self.cause == Cause.STATUS and self.status in {400, 422})
        return is_answer and len(self.targets) == 1

    @property
    def seconds(self) -> float:
        return self.ended - self.started

    @property
    def items(self) -> list[Item]:
        return [Item(self.engine, target, self.card_type) for target in self.targets]

    @property
    def label(self) -> Message:
        return label_of(self.engine, self.targets, self.card_type)


_NOT_STORED = {"limit", "attempt"}
_STORED = {field.name: field.default for field in fields(CallResult) if field.name not in _NOT_STORED}
"""The fields that a line has, with their defaults."""
_RESULT = TypeAdapter(CallResult)


class ShutdownReason(IntEnum):
    """Why a run stops early. If there are several reasons, the highest one counts."""

    QA_DOWN = 1
    DEADLINE = 2
    LEASE_LOST = 3
    BUG = 4
    SIGTERM = 5
    SIGINT = 6


class EngineFailedError(JobError):
    """A data engine has failed: one of its calls failed for good. Has the result of that call."""

    def __init__(self, result: CallResult) -> None:
        super().__init__(f"{result.label}: {result.reason}")
        self.result = result

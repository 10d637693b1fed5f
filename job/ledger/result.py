"""Result of a call: how it ended. The executor makes one for each call; the journal stores it as a line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, with_config
from pydantic_core import from_json, to_json

from job.engines.calls import WorkItem, label_of
from job.engines.catalog import EngineName
from job.engines.failures import Cause, Remedy, Then, remedy
from job.ledger.totals import Count
from job.text.messages import Message, message, plural

DONE, FAILED, CUT_OFF = 0, 1, 2
"""The states of a finished call; `CUT_OFF` if the end of the run interrupted it."""
Moment = Annotated[float, Field(ge=0, le=2e11, allow_inf_nan=False)]
"""Seconds since 1970. The limit allows calculations without overflow."""


class FailedAttempt(NamedTuple):
    """An attempt that failed and was followed by another."""

    started: Moment
    ended: Moment
    reason: Message


@with_config(ConfigDict(extra="ignore", allow_inf_nan=False))
@dataclass(slots=True, kw_only=True)  # not frozen, which would take four times as long; nobody changes it
class CallResult:
    """The result of one call: its targets are done, or have failed for good. Times are seconds since 1970.

    If only some targets of a batch were done, there is a result for these, and the others go on as another call.
    """

    engine: EngineName
    targets: Annotated[tuple[str, ...], Field(min_length=1)]
    card_type: str | None
    done: bool
    attempts: Count
    retries: Count = 0
    """Attempts that were followed by another. Those that the halves of a batch share are counted in one half only."""
    waits: Count = 0
    """How many of these retries waited for room: the engine had answered 429 or 503."""
    started: Moment
    """When its last attempt began; `ended` is when it ended."""
    ended: Moment
    status: Count | None
    """The HTTP status of the last answer, if there was one."""
    cause: str | None
    """Why it failed, a `Cause`; `None` if it is done."""
    reason: Annotated[Message | None, Field(validation_alias="reason_message")] = None
    """The last answer, or why there was none; `None` if it is done."""
    warning: Message | None = None
    """What is odd about the answer, if it is done."""
    failed_attempts: tuple[FailedAttempt, ...] = ()
    """The latest attempts before the last one."""
    traceparent: str
    limit: Count
    """The engine's concurrency limit when the call ended."""
    interrupted_after: str | None = None
    """For a call that was cut off: why the attempt before failed, a `Cause`."""
    request: str = ""
    """As in `Call.request`."""
    date: str | None = None
    """As in `Call.date`; `None` also in a result of an earlier version."""
    remake: Count = 0
    """The number of the request to make its items again (`job.ledger.remakes`); 0 if they are made the first time."""

    def line(self) -> bytes:
        """The line of the journal, without the line feed. Reasons are stored as text and whole, as in `Part`."""
        line: dict[str, object] = {
            "engine": self.engine,
            "targets": self.targets,
            "card_type": self.card_type,
            "done": self.done,
            "attempts": self.attempts,
            "started": self.started,
            "ended": self.ended,
            "status": self.status,
            "cause": self.cause,
            "reason": None if self.reason is None else str(self.reason),
            "failed_attempts": [(tried.started, tried.ended, str(tried.reason)) for tried in self.failed_attempts],
            "traceparent": self.traceparent,
            "limit": self.limit,
        }
        if self.reason is not None:
            line["reason_message"] = self.reason
        if self.failed_attempts:
            line["failed_messages"] = [tried.reason for tried in self.failed_attempts]
        for name in ("retries", "waits", "warning", "interrupted_after", "request", "remake"):
            if value := getattr(self, name):
                line[name] = value
        if self.date is not None:
            line["date"] = self.date
        return to_json(line)

    @classmethod
    def parse(cls, line: bytes) -> "CallResult":
        """The result in a line of the journal. Raises `ValueError` if no run has written it."""
        if b'"reason":null,"failed_attempts":[],' in line:  # most lines: nothing has to be put together
            result = _RESULT.validate_json(line)
        else:
            result = _RESULT.validate_python(_Line.model_validate_json(line).together(from_json(line)))
        if result.started > result.ended or any(tried.started > tried.ended for tried in result.failed_attempts):
            raise ValueError("an attempt ends before it begins")
        return result

    @property
    def state(self) -> int:
        """The state of the call: `DONE`, `FAILED` or `CUT_OFF`."""
        if self.done:
            return DONE
        return CUT_OFF if self.cause == Cause.INTERRUPTED else FAILED

    @property
    def seconds(self) -> float:
        """How long its last attempt took."""
        return self.ended - self.started

    @property
    def items(self) -> list[WorkItem]:
        """The items of the call."""
        return [(target, self.card_type) for target in self.targets]

    @property
    def label(self) -> Message:
        """The call for people, as `Call.label`."""
        return label_of(self.engine, self.targets, self.card_type)

    @property
    def summary(self) -> Message:
        """The failed call in one line: its targets, the last answer and the number of attempts."""
        return plural(
            "{call}: {reason} (1 attempt)",
            "{call}: {reason} ({count} attempts)",
            count=self.attempts,
            call=self.label,
            reason=message("done") if self.reason is None else self.reason,
        )

    @property
    def answers_before(self) -> Sequence[Message]:
        """The answers before the last one."""
        return [tried.reason for tried in self.failed_attempts]

    @property
    def remedy(self) -> Message:
        """What to correct, if it failed."""
        return self._remedy.what

    @property
    def then(self) -> Then:
        """How to resume the run after that."""
        return self._remedy.then

    @property
    def _remedy(self) -> Remedy:
        batch = len(self.targets)
        return remedy(self.engine, self.cause, self.status, self.reason, batch=batch, after=self.interrupted_after)


class _Line(BaseModel):
    """The fields of a line that are stored in two parts."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    reason: str | None
    reason_message: Message | None = None
    failed_attempts: tuple[tuple[Moment, Moment, str], ...]
    failed_messages: tuple[Message, ...] = ()

    def together(self, line: Mapping[str, Any]) -> Mapping[str, Any]:
        """The line with each reason as one message. A line of an early version has only the texts."""
        whole = self.reason_message or (None if self.reason is None else Message(self.reason))
        reasons = self.failed_messages
        if len(reasons) != len(self.failed_attempts):
            reasons = tuple(Message(text) for _, _, text in self.failed_attempts)
        tried = [(began, ended, why) for (began, ended, _), why in zip(self.failed_attempts, reasons, strict=True)]
        return {**line, "reason_message": whole, "failed_attempts": tried}


_RESULT = TypeAdapter(CallResult)

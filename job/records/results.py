"""Results: the result of each call, as a line of the journal."""

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from job.engines.calls import WorkItem
from job.engines.catalog import EngineName
from job.engines.failures import Cause, Remedy, Then, remedy
from job.execution.events import CallFinished
from job.execution.progress import Count
from job.records.format import Moment, RecordError
from job.text.messages import Message

DONE, FAILED, CUT_OFF = 0, 1, 2
"""The states of a finished call; `CUT_OFF` if the end of the run interrupted it."""


class CallResult(BaseModel):
    """The result of one call. Times are seconds since 1970."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    engine: EngineName
    targets: Annotated[tuple[str, ...], Field(min_length=1)]
    card_type: str | None
    done: bool
    attempts: Count
    retries: Count = 0
    """As in `CallFinished`."""
    started: Moment
    """When its last attempt began; `ended` is when it ended."""
    ended: Moment
    status: Count | None
    """The HTTP status of the last answer, if there was one."""
    cause: str | None
    """Why it failed, a `Cause`; `None` if it is done."""
    reason: str | None
    """The last answer, or why there was none, in English."""
    reason_message: Message | None = None
    warning: Message | None = None
    """What is odd about the answer, if it is done."""
    failed_attempts: tuple[tuple[Moment, Moment, str], ...]
    """The latest attempts before the last one: when each began and ended, and why it failed."""
    failed_messages: tuple[Message, ...] = ()
    """The same reasons, in the same order."""
    traceparent: str
    limit: Count
    """The engine's concurrency limit when the call ended."""
    interrupted_after: str | None = None
    """For a call that was cut off: why the attempt before failed, a `Cause`."""
    request: str = ""
    """As in `Call.request`."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.started > self.ended or any(began > ended for began, ended, _ in self.failed_attempts):
            raise ValueError("an attempt ends before it begins")
        return self

    @classmethod
    def of(cls, event: CallFinished, epoch: float) -> "CallResult":
        """The result of a finished call; `epoch` is the time since 1970 at which trio's clock showed zero."""

        def stamp(time: float) -> float:
            return round(epoch + time, 3)

        call, failure = event.call, event.failure
        return cls(
            engine=call.engine,
            targets=call.targets,
            card_type=call.card_type,
            done=failure is None,
            attempts=event.attempts,
            retries=event.retries,
            started=stamp(event.started),
            ended=stamp(event.ended),
            status=event.status,
            cause=failure.cause if failure else None,
            reason=str(failure.reason) if failure else None,
            reason_message=failure.reason if failure else None,
            warning=event.warning,
            failed_attempts=tuple(
                (stamp(one.started), stamp(one.ended), str(one.reason)) for one in event.failed_attempts
            ),
            failed_messages=tuple(one.reason for one in event.failed_attempts),
            traceparent=event.traceparent,
            limit=event.limit,
            interrupted_after=failure.after if failure else None,
            request=call.request,
        )

    def line(self) -> bytes:
        """The line of the journal, without the line feed."""
        return self.model_dump_json(exclude_defaults=True).encode()

    @classmethod
    def parse(cls, name: str, line: bytes) -> "CallResult":
        """The result in a line of the journal object of this name. Raises `RecordError`."""
        try:
            return cls.model_validate_json(line)
        except ValidationError as error:
            raise RecordError(f"{name} has a result that is not what a run writes") from error

    @property
    def state(self) -> int:
        """The state of the call: `DONE`, `FAILED` or `CUT_OFF`."""
        if self.done:
            return DONE
        return CUT_OFF if self.cause == Cause.INTERRUPTED else FAILED

    @property
    def last_answer(self) -> Message | str | None:
        """The last answer, or why there was none; as a message if it was recorded as one."""
        return self.reason_message or self.reason

    @property
    def answers_before(self) -> Sequence[Message | str]:
        """The answers before the last one; as messages if they were recorded so."""
        if len(self.failed_messages) == len(self.failed_attempts):
            return self.failed_messages
        return [reason for _, _, reason in self.failed_attempts]

    @property
    def seconds(self) -> float:
        """How long its last attempt took."""
        return self.ended - self.started

    @property
    def items(self) -> list[WorkItem]:
        """The items of the call."""
        return [(target, self.card_type) for target in self.targets]

    @property
    def remedy(self) -> Message:
        """What to correct, if it failed."""
        return self._remedy.what

    @property
    def then(self) -> Then:
        """How to resume the run after that."""
        return self._remedy.then

    @cached_property
    def _remedy(self) -> Remedy:
        return remedy(
            self.engine,
            self.cause,
            self.status,
            self.reason_message,
            batch=len(self.targets),
            after=self.interrupted_after,
        )

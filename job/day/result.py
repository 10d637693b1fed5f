"""Result of a call: how it ended. The executor makes one for each call; the journal stores it as a line."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from pydantic import AliasChoices, ConfigDict, Field, TypeAdapter, with_config
from pydantic_core import to_json

from job.day.counts import SECONDS_LIMIT, Count
from job.engines.calls import Item, label_of
from job.engines.catalog import EngineName
from job.engines.failures import Cause
from job.engines.remedies import Remedy, remedy_of
from job.text.messages import Message

DONE, FAILED, CUT_OFF = 0, 1, 2
"""The states of a finished call; `CUT_OFF` if the end of an attempt interrupted it."""
Moment = Annotated[float, Field(ge=0, le=2e11, allow_inf_nan=False)]
"""Seconds since 1970. The limit allows calculations without overflow."""


class FailedTry(NamedTuple):
    """A try of a call that failed and was followed by another."""

    started: Moment
    ended: Moment
    reason: Message


_TRIES, _FAILED_TRIES = "attempts", "failed_attempts"
"""What lines call `tries` and `failed_tries`. Some images have written it as it is called here: both are read."""


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
    tries: Annotated[Count, Field(validation_alias=AliasChoices(_TRIES, "tries"))]
    retries: Count = 0
    """Tries that were followed by another. Those that the halves of a batch share are counted in one half only."""
    waits: Count = 0
    """How many of these retries waited for room: the engine had answered 429 or 503."""
    started: Moment
    """When its last try began; `ended` is when it ended."""
    ended: Moment
    status: Count | None
    """The HTTP status of the last answer, if there was one."""
    cause: str | None
    """Why it failed, a `Cause`; `None` if it is done."""
    reason: Message | None = None
    """The last answer, or why there was none; `None` if it is done."""
    warning: Message | None = None
    """What is odd about the answer, if it is done."""
    failed_tries: Annotated[
        tuple[FailedTry, ...], Field(validation_alias=AliasChoices(_FAILED_TRIES, "failed_tries"))
    ] = ()
    """The latest tries before the last one."""
    traceparent: str
    limit: Count = 0
    """The engine's concurrency limit when the call ended; for the log, not stored."""
    interrupted_after: str | None = None
    """For a call that was cut off: why the try before failed, a `Cause`."""
    request: str = ""
    """As in `Call.request`."""
    date: str = ""
    """As in `Call.date`."""
    again: Count = 0
    """As in `Ledger.again_of`."""

    def line(self) -> bytes:
        """The line of the journal, without the line feed."""
        line: dict[str, object] = {
            "engine": self.engine,
            "targets": self.targets,
            "card_type": self.card_type,
            "done": self.done,
            _TRIES: self.tries,
            "started": self.started,
            "ended": self.ended,
            "status": self.status,
            "cause": self.cause,
            "traceparent": self.traceparent,
        }
        for name in _OPTIONAL:
            if value := getattr(self, name):
                line[name] = value
        if self.failed_tries:
            line[_FAILED_TRIES] = self.failed_tries
        return to_json(line)

    @classmethod
    def parse(cls, line: bytes) -> "CallResult":
        """The result in a line of the journal. Raises `ValueError` if the job has not written it."""
        found = _RESULT.validate_json(line)
        tries: tuple[CallResult | FailedTry, ...] = (found, *found.failed_tries)
        if not all(0 <= one.ended - one.started <= SECONDS_LIMIT for one in tries):
            raise ValueError("no time of a try")
        return found

    @property
    def state(self) -> int:
        """The state of the call: `DONE`, `FAILED` or `CUT_OFF`."""
        if self.done:
            return DONE
        return CUT_OFF if self.cause == Cause.INTERRUPTED else FAILED

    @property
    def seconds(self) -> float:
        """How long its last try took."""
        return self.ended - self.started

    @property
    def items(self) -> list[Item]:
        """The items of the call."""
        return [Item(self.engine, target, self.card_type) for target in self.targets]

    @property
    def label(self) -> Message:
        """The call for people, as `Call.label`."""
        return label_of(self.engine, self.targets, self.card_type)

    def remedy(self, *, has_done: bool | None) -> Remedy:
        """What to correct, if it failed; `has_done` is as in `remedy_of`.

        If it was cut off, that is for the failed try before: the next one would probably have failed as well.
        """
        cause = self.cause
        if self.state == CUT_OFF and self.interrupted_after is not None and self.status != 429:
            cause = self.interrupted_after
        return remedy_of(self.engine, cause, self.status, batch=len(self.targets), has_done=has_done)


_OPTIONAL = (
    "retries",
    "waits",
    "reason",
    "warning",
    "interrupted_after",
    "request",
    "date",
    "again",
)
"""The fields that a line leaves out if they have their default."""
_RESULT = TypeAdapter(CallResult)

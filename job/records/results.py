"""records.results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from job.engines.calls import WorkItem
from job.engines.catalog import ALL_ENGINES, EngineName
from job.engines.failures import Cause, remedy
from job.records.format import RecordError

UNKNOWN_RESULT = "a result is not what a run writes"


DoneItems = dict[EngineName, set[WorkItem]]


def add_done(done: DoneItems, result: Mapping[str, object]) -> None:
    """Adds what a result of the journal says is done. Raises `RecordError` where it is none."""
    engine, targets, card_type = result.get("engine"), result.get("targets"), result.get("card_type")
    for name in ALL_ENGINES:
        if name == engine and isinstance(targets, list) and isinstance(card_type, str | None):
            if result.get("done") is True:
                done.setdefault(name, set()).update((str(target), card_type) for target in targets)
            return
    raise RecordError(UNKNOWN_RESULT)


DONE, FAILED, CUT_OFF = 0, 1, 2
"""What became of a call; `CUT_OFF` is one that the end of the run interrupted."""


@dataclass(frozen=True, slots=True)
class CallResult:
    """A call of the record, whole. Times are seconds since 1970."""

    engine: EngineName
    targets: tuple[str, ...]
    card_type: str | None
    state: int
    attempts: int
    started: float
    ended: float
    status: int | None
    cause: str | None
    reason: str | None
    traceparent: str
    failed_attempts: tuple[tuple[float, float, str], ...]

    @property
    def seconds(self) -> float:
        """How long its last attempt took."""
        return self.ended - self.started

    @property
    def remedy(self) -> str:
        """What to do about it, where it failed."""
        return remedy(self.engine, self.cause, self.status, self.reason or "", batch=len(self.targets))


def _finished(result: Mapping[str, object]) -> CallResult:
    done, cause = result["done"], cast("str | None", result["cause"])
    failed_attempts = cast("Sequence[tuple[float, float, str]]", result["failed_attempts"])
    return CallResult(
        engine=cast(EngineName, result["engine"]),
        targets=tuple(cast("Sequence[str]", result["targets"])),
        card_type=cast("str | None", result["card_type"]),
        state=DONE if done else CUT_OFF if cause == Cause.INTERRUPTED else FAILED,
        attempts=cast(int, result["attempts"]),
        started=cast(float, result["started"]),
        ended=cast(float, result["ended"]),
        status=cast("int | None", result["status"]),
        cause=cause,
        reason=cast("str | None", result["reason"]),
        traceparent=cast(str, result["traceparent"]),
        failed_attempts=tuple((began, ended, reason) for began, ended, reason in failed_attempts),
    )

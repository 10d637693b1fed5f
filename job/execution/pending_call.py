"""Pending call: a call that is neither done nor has failed for good, with its tries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf

import trio

from job.day.result import CallResult, FailedTry
from job.engines.answers import Verdict
from job.engines.calls import BATCHES, Call
from job.engines.failures import Failure, FailureKind

FAILED_TRIES_KEPT = 4
"""Maximum number of failed tries that a result lists, the first one and the latest: a call may have hundreds."""


@dataclass(slots=True, eq=False)
class Try:
    """One try at a call, by trio's clock. It joins its call once it was answered, or may have been sent."""

    started: float
    is_first: bool = False
    """Whether its call was not tried before."""
    room: int = 0
    """How many were in flight when it began, itself included, that were not rejected since."""
    sent: bool = False
    """Whether the request may have been sent: a token and a connection were there."""
    ended: float = 0.0
    status: int | None = None
    verdict: Verdict | None = None
    failure: Failure | None = None
    kind: FailureKind | None = None


@dataclass(slots=True, eq=False)
class PendingCall:
    """A call in progress: its tries, its last failure."""

    call: Call
    traceparent: str
    failures: int = 0
    """How often it has failed, without the larger batches that it was part of."""
    failing_since: float = inf
    """From when its patience runs, by trio's clock: its first failure, and then the first of its last try; infinity
    before."""
    is_last: bool = False
    """Whether one more try that may have cost money is its end."""
    tries: int = 0
    """How often its targets were requested, also as part of larger batches."""
    charged_tries: int = 0
    retries: int = 0
    waits: int = 0
    """As in `CallResult`, like `retries` and `charged_tries`."""
    unfollowed: Try | None = None
    """Its latest try if that has failed, until another one follows."""
    latest: Try | None = None
    last_failure: Failure | None = None
    failed_tries: tuple[FailedTry, ...] = ()
    """The first try and the latest before the last one, by trio's clock."""

    def join(self, latest: Try, failure: Failure | None) -> None:
        """Adds a try that has just ended, and why it failed, if it did."""
        latest.ended, latest.failure = trio.current_time(), failure
        self.latest = latest
        self.tries += 1
        if failure is not None:
            latest.kind = failure.kind(self.call.engine, sent=latest.sent)
            self.charged_tries += latest.kind is FailureKind.CHARGED

    def follow(self, failed: Try, failure: Failure) -> None:
        """Another try follows this one, which is kept. Equal reasons are one object: each would take 0.4 KiB."""
        reason, self.unfollowed = failure.reason, None
        self.retries += 1
        self.waits += failure.has_no_room
        kept = (*self.failed_tries[:1], *self.failed_tries[1:][2 - FAILED_TRIES_KEPT :])
        same = (one._replace(reason=reason) if one.reason == reason else one for one in kept)
        self.failed_tries = (*same, FailedTry(failed.started, failed.ended, reason))

    def part_done(self, failed: Sequence[str]) -> "PendingCall":
        """The targets of a batch that were done, as a call of their own. It goes on with those that have failed."""
        batch = BATCHES[self.call.engine]
        done = replace(self, call=batch([target for target in self.call.targets if target not in failed]))
        self.call, self.retries, self.waits = batch(failed), 0, 0
        return done

    def result(self, failure: Failure | None, stamp: Callable[[float], float], limit: int, again: int) -> CallResult:
        """How it has ended: done, or for good with this failure. `stamp` is as in `RunContext`."""
        call, latest = self.call, self.latest
        if latest is None:
            raise AssertionError("a call without a try has no result")
        verdict = latest.verdict if failure is None else None
        return CallResult(
            engine=call.engine,
            targets=call.targets,
            card_type=call.card_type,
            done=failure is None,
            tries=self.tries,
            retries=self.retries,
            waits=self.waits,
            charged_tries=self.charged_tries,
            started=stamp(latest.started),
            ended=stamp(latest.ended),
            status=failure.status if failure else latest.status,
            cause=failure.cause if failure else None,
            reason=failure.reason if failure else None,
            by_target=failure.by_target if failure else (),
            account=failure.account if failure else None,
            tried_seconds=failure.seconds if failure else None,
            warning=verdict.warning if verdict else None,
            with_error=verdict.with_error if verdict else (),
            failed_tries=tuple(FailedTry(stamp(began), stamp(ended), why) for began, ended, why in self.failed_tries),
            traceparent=self.traceparent,
            limit=limit,
            interrupted_after=failure.after if failure else None,
            request=call.request,
            date=call.date,
            again=again,
        )

"""Executor: makes every call of one engine, with the same code for all four."""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import inf

import trio

from job.config.environment import EngineSettings
from job.day.result import CallResult
from job.engines.answers import AnswerError, Client, judge
from job.engines.calls import METHOD, Call, EngineName, Item
from job.engines.failures import CUT_OFF, Cause, Failure, FailureKind
from job.engines.id_tokens import IdTokens
from job.engines.identity import USER_AGENT, RunIdentity
from job.execution.circuit_breaker import CircuitBreaker
from job.execution.limits import ConcurrencyLimiter
from job.execution.pending_call import PendingCall, Try
from job.execution.progress import CallRetried, EngineFailing, EngineProgress, EngineRecovered, EventHandler
from job.execution.retry_policy import RetryPolicy
from job.execution.shutdown import Shutdown, ShutdownError
from job.execution.work_queue import WorkQueue
from job.text.messages import Message, colon, message

QUICK_SECONDS = 5.0
"""No work of a batch has failed that fails earlier."""
TELL_SECONDS, SILENT_SECONDS, REPEAT_SECONDS = 5.0, 60.0, 300.0
"""After how long an outage is told, when a try fails and in any case; and how often it is told."""
Finished = Callable[[CallResult, Failure | None], None]
"""Gets the result of a call, and why it failed, if it did."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """The context of a run, shared by all executors."""

    run: RunIdentity
    tokens: IdTokens
    client_of: Callable[[EngineName], Client]
    shutdown: Shutdown
    emit: EventHandler
    call_of: Callable[[Sequence[Item]], Call]
    """As `Plan.call`."""
    epoch: float = 0.0
    """The time since 1970 at which trio's clock showed zero. One for a run: a clock change must not reorder results."""
    progress: Mapping[EngineName, EngineProgress] = field(default_factory=dict)
    rerun_of: Callable[[Call], int] = lambda _: 0
    """As in `Ledger`. Each part of a batch has a number of its own."""
    jitter: Callable[[], float] = random.random

    def stamp(self, time: float) -> float:
        """A time by trio's clock, in seconds since 1970."""
        return round(self.epoch + time, 3)


class Executor:
    """Makes the calls of one engine with a fixed number of workers.

    `on_finished` gets every call that is done or has failed for good. It may call `stop`.
    """

    def __init__(
        self,
        settings: EngineSettings,
        context: RunContext,
        work: Sequence[Sequence[Item]],
        on_finished: Finished,
        *,
        is_still_out: bool = False,
    ) -> None:
        """`work` has the items of each call; `is_still_out` is as in `CircuitBreaker`."""
        self._settings = settings
        self._context = context
        self._on_finished = on_finished
        self._audience = settings.audience or ""
        self._client = context.client_of(settings.name)
        # An engine that the plan does not use has none.
        self._progress = context.progress.get(settings.name) or EngineProgress()
        self._policy = RetryPolicy(settings, context.jitter)
        self._limiter = ConcurrencyLimiter(settings.concurrency)
        self._breaker = CircuitBreaker(settings, self._limiter, is_still_out=is_still_out)
        self._queue = WorkQueue(work, self._begin, self._policy, self._breaker, self._progress, context.shutdown)
        self._refused: str | None = None
        """The token that the engine refused last, if no call was done since."""
        self._last_answer: Message | None = None
        """Why a try failed last, but for refusals."""
        self._tell_after = TELL_SECONDS
        """For how long the engine has to be out for the next word."""
        self._workers = trio.CancelScope()

    async def run(self) -> bool:
        """Returns when every call has finished, when the engine is down or `stop` was called, or the run shuts down.

        The value is whether calls were not tried since the engine is down.
        """
        self._progress.began, self._progress.limit = trio.current_time(), self._limiter.limit
        try:
            with self._workers:
                async with trio.open_nursery() as watch:
                    watch.start_soon(self._watch, name=f"{self._settings.url} outages")
                    async with trio.open_nursery() as workers:
                        for number in range(self._settings.concurrency):
                            workers.start_soon(self._work, name=f"{self._settings.url} worker {number}")
                    watch.cancel_scope.cancel()
        finally:
            for pending in self._queue.put_back():
                if self._queue.is_down and pending.last_failure is not None:
                    self._fail_for_good(pending, pending.last_failure, trio.current_time())
                else:
                    self._interrupted(pending)
        return self._queue.is_down and self._queue.untried > 0

    def _begin(self, items: Sequence[Item]) -> PendingCall:
        return PendingCall(self._context.call_of(items), self._context.run.traceparent())

    def stop(self, seconds: float) -> None:
        """Ends soon: what was not tried is still tried, for so many seconds. Nothing is tried again."""
        self._queue.is_failed = True
        self._workers.deadline = min(self._workers.deadline, trio.current_time() + seconds)

    async def _watch(self) -> None:
        """Tells of an outage also while no try ends: one at an engine that hangs takes minutes."""
        while True:
            await trio.sleep(TELL_SECONDS)
            self._tell(trio.current_time(), max(self._tell_after, SILENT_SECONDS))

    def _tell(self, now: float, after: float) -> None:
        """Tells that the engine is out, if it is, and has been for so long."""
        context, breaker, reason = self._context, self._breaker, self._last_answer
        since = breaker.failing_since
        if not breaker.is_out or reason is None or now < since + after:
            return
        self._tell_after = REPEAT_SECONDS * ((now - since) // REPEAT_SECONDS + 1)
        failing = EngineFailing(
            engine=self._settings.name,
            reason=reason,
            patience=self._settings.patience,
            since=context.stamp(since),
            seconds=now - since,
            charged_tries=breaker.charged,
            fails_by=context.stamp(breaker.fails_by(now)),
        )
        context.emit(failing)

    async def _work(self) -> None:
        with suppress(ShutdownError):
            while (pending := await self._queue.get()) is not None:
                try:
                    await self._run_call(pending)
                finally:
                    self._queue.ended(pending.call)

    async def _run_call(self, pending: PendingCall) -> None:
        """Makes one try."""
        latest = Try(trio.current_time(), is_first=pending.failures == 0)
        if pending.unfollowed is not None and pending.last_failure is not None:
            pending.follow(pending.unfollowed, pending.last_failure)
            self._progress.counts.retries += 1
        self._limiter.begin(latest)
        self._breaker.begin(latest)
        try:
            failure = await self._answer(pending, latest)
        except BaseException:  # a cancellation while it connects arrives in a group
            if latest.sent:
                pending.join(latest, CUT_OFF)
            self._interrupted(pending)
            raise
        pending.join(latest, failure)
        self._adapt(pending, latest)
        if failure is None or failure.targets:
            self._finish(pending.part_done(failure.targets) if failure else pending, None)
        if failure is not None:
            self._fail(pending, failure, latest)

    def _fail(self, pending: PendingCall, failure: Failure, latest: Try) -> None:
        """Finishes a call whose try has failed, or puts it or its halves back into the queue."""
        pending.last_failure, pending.unfollowed = failure, latest
        breaker, deadline = self._breaker, self._context.shutdown.deadline
        due = self._policy.next_try(pending, latest, deadline, breaker.worked_at, is_still_out=breaker.is_still_out)
        if len(pending.call.targets) > 1 and self._is_halved(failure, latest, due):
            if due is not None:  # else the halves have no more patience than the batch
                pending.failures, pending.failing_since = 0, inf
            due = latest.ended
            self._queue.put_halves(pending, is_too_large=failure.may_be_too_large)
        elif due is not None:
            self._queue.put(pending, due, is_free=latest.kind is FailureKind.FREE)
        else:
            self._fail_for_good(pending, failure, latest.ended)
            return
        if not self._queue.is_failed:
            begins = max(due, breaker.not_before) if breaker.is_out else due
            wait, limit = begins - latest.ended, self._progress.limit
            self._context.emit(CallRetried(pending.call, failure.reason, wait, limit, pending.traceparent))

    def _is_halved(self, failure: Failure, latest: Try, due: float | None) -> bool:
        """Whether a batch that has failed is tried again in halves: only a single ticker fails for good."""
        if due is None:
            return failure.handling.halves or failure.handling.kind is not FailureKind.REFUSED
        # In an outage it is tried whole if it failed at once: else all would be single tickers at its end.
        is_quick = latest.ended < latest.started + QUICK_SECONDS and failure.cause is not Cause.TOO_LARGE
        return failure.handling.halves and not (is_quick and self._breaker.may_be_out)

    def _adapt(self, pending: PendingCall, latest: Try) -> None:
        """Adapts queue, breaker and limit to the answer to a try, which is still one of those in flight."""
        limiter, breaker, failure, call = self._limiter, self._breaker, latest.failure, pending.call
        if failure is None or failure.targets:
            self._refused, since = None, breaker.failing_since
            self._queue.succeed(call)
            limiter.succeed(latest)
            if breaker.succeed(latest):
                limiter.recover()
                if self._tell_after > TELL_SECONDS:
                    self._context.emit(EngineRecovered(call.engine, latest.started - since))
                    self._tell_after = TELL_SECONDS
        else:
            if failure.handling.lowers_limit:
                limiter.reject(latest)
            breaker.fail(latest, self._queue.left)
            if latest.kind is not FailureKind.REFUSED:
                self._queue.fail(call, latest.ended, is_last=pending.is_last)
                # If no other call has failed, it is named.
                self._last_answer = failure.reason if breaker.failed > 1 else colon(call.label, failure.reason)
                self._tell(latest.ended, self._tell_after)
        limiter.end(latest)
        self._progress.limit = limiter.limit

    async def _answer(self, pending: PendingCall, latest: Try) -> Failure | None:
        """Sends the request and judges the answer: `None` if all work is done."""
        call, context, timeout, refused = pending.call, self._context, self._settings.timeout, self._refused

        def on_sending() -> None:
            context.shutdown.raise_if_requested()
            latest.sent = True

        with trio.move_on_after(timeout):
            try:
                token = context.tokens.cached(self._audience, refused)
                if token is None:
                    with context.shutdown.interruptible():  # the request is not in flight until it is sent
                        token = await context.tokens.get(self._audience, refused)
                headers = self._headers(pending, token)
                response = await self._client.request(METHOD, call.path, headers, call.body, on_sending)
            except AnswerError as error:
                return Failure(error.cause, error.reason)
            latest.status = response.status
            verdict = judge(call, response, token if refused is None else f"{token} {refused}")
            if response.status == 401:
                self._refused = token
            latest.verdict = verdict
            return verdict.failure
        return Failure(Cause.TIMEOUT, message("no answer within {seconds} s", seconds=timeout))

    def _headers(self, pending: PendingCall, token: str) -> dict[str, str]:
        rerun = self._context.rerun_of(pending.call)
        return {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Idempotency-Key": self._context.run.idempotency_key(*pending.call.fingerprint, rerun=rerun),
            "traceparent": pending.traceparent,
            "User-Agent": USER_AGENT,
        } | ({} if pending.call.body is None else {"Content-Type": "application/json"})

    def _fail_for_good(self, pending: PendingCall, failure: Failure, now: float) -> None:
        """Finishes a call that has failed for good. Of a data engine it is told for how long it was tried."""
        if pending.call.card_type is None and failure.handling.kind is not FailureKind.REFUSED:
            failure = replace(failure, seconds=now - min(pending.failing_since, self._breaker.failing_since))
        self._finish(pending, failure)

    def _interrupted(self, pending: PendingCall) -> None:
        """Finishes a call that was interrupted. A call without any try gets no result: it is not attempted."""
        last = pending.last_failure
        if last is not None:
            self._finish(pending, replace(last, cause=Cause.INTERRUPTED, after=last.cause))
        elif pending.latest is not None:
            self._finish(pending, CUT_OFF)

    def _finish(self, pending: PendingCall, failure: Failure | None) -> None:
        context, call = self._context, pending.call
        result = pending.result(failure, context.stamp, self._progress.limit, context.rerun_of(call))
        if failure is None or not failure.is_interruption:
            self._progress.counts.add("failed" if failure else "done", len(call.targets))
        context.emit(result)
        self._on_finished(result, failure)

"""Executor: makes every call of one engine, with the same code for all four."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import trio

from job.config.environment import EngineSettings
from job.day.result import CallResult, FailedTry
from job.engines.answers import Connection, TokenError, TransportError, judge
from job.engines.calls import BATCHES, METHOD, Call, EngineName, Item
from job.engines.failures import CUT_OFF, Cause, Failure, FailureKind
from job.engines.id_tokens import IdTokens
from job.engines.identity import USER_AGENT, RunIdentity
from job.execution.circuit_breaker import CircuitBreaker
from job.execution.progress import CallRetried, EngineProgress, EventHandler, Outages
from job.execution.retry_policy import RetryPolicy, Try
from job.execution.shutdown import Shutdown, ShutdownError
from job.execution.work_queue import PendingCall, WorkQueue
from job.text.messages import duration, message

QUICK_SECONDS = 5.0
"""No work of a batch has failed that fails earlier."""
Finished = Callable[[CallResult, Failure | None], None]
"""Gets the result of a call, and why it failed, if it did."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """The context of a run, shared by all executors."""

    run: RunIdentity
    tokens: IdTokens
    connect: Callable[[EngineName], Connection]
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


class Executor:
    """Makes the calls of one engine with a fixed number of workers, each with a connection of its own.

    `on_finished` gets every call that is done or has failed for good. It may call `stop`.
    """

    def __init__(
        self, settings: EngineSettings, context: RunContext, work: Sequence[Sequence[Item]], on_finished: Finished
    ) -> None:
        """`work` has the items of each call."""
        self._settings = settings
        self._context = context
        self._on_finished = on_finished
        self._audience = settings.audience or ""
        # An engine that the plan does not use has none.
        self._progress = context.progress.get(settings.name) or EngineProgress()
        self._policy = RetryPolicy(settings, context.jitter)
        self._breaker = CircuitBreaker(self._policy, Outages(settings, self._progress, context.emit))
        self._queue = WorkQueue(
            work, context.call_of, context.run.traceparent, self._policy, self._breaker, context.shutdown
        )
        self._is_size_right = False
        """Whether a single ticker has failed in this outage, or a batch at once, so that its size is not the cause."""
        self._workers = trio.CancelScope()

    @property
    def is_down(self) -> bool:
        """Whether calls were not made since the engine is down, and not just the cards of some types."""
        return self._queue.is_down

    async def run(self) -> None:
        """Returns when every call has finished, when the engine is down, when the run shuts down, or after `stop`."""
        self._progress.began = trio.current_time()
        await self._queue.fill()
        is_over = False
        try:
            with self._workers:
                async with trio.open_nursery() as workers:
                    for number in range(self._settings.concurrency):
                        workers.start_soon(self._work, name=f"{self._settings.url} worker {number}")
                is_over = self._context.shutdown.reason is None
        finally:
            for pending in self._queue.left():
                if is_over and pending.last_failure is not None:
                    self._finish(pending, pending.last_failure)
                else:
                    self._interrupted(pending)

    def stop(self) -> None:
        """Cuts off the calls in flight, and starts no other."""
        self._workers.cancel()

    async def _work(self) -> None:
        connection = self._context.connect(self._settings.name)
        try:
            while (pending := await self._queue.get()) is not None:
                try:
                    await self._run_call(pending, connection)
                finally:
                    self._queue.task_done(pending)
        except ShutdownError:
            pass
        finally:
            await connection.aclose()

    async def _run_call(self, pending: PendingCall, connection: Connection) -> None:
        """Makes one try. Finishes the call, or puts it or its parts back into the queue."""
        latest = Try(trio.current_time())
        self._breaker.begin(latest)
        failure = await self._try(pending, latest, connection)
        if failure is None:
            self._queue.finish(pending, is_done=True)
            self._finish(pending, None)
            return
        if failure.targets:
            self._finish_done_targets(pending, failure)
        seconds_out, deadline = self._breaker.seconds_out(latest.ended), self._context.shutdown.deadline
        others = self._queue.in_flight - 1
        due = self._policy.next_try(pending.retry, failure, latest, seconds_out, deadline, others=others)
        if self._breaker.is_patience_over(latest.started) and not (failure.is_rejection and others):
            due = None
        pending.last_failure = failure
        size = len(pending.call.targets)
        is_quick = latest.ended < latest.started + QUICK_SECONDS and failure.cause is not Cause.TOO_LARGE
        self._is_size_right |= size == 1 or is_quick
        if size > 1 and failure.breaks_batches:  # only a single ticker fails for good
            # In an outage it is tried whole if it failed at once: else all would be single tickers at its end.
            is_kept = is_quick and self._breaker.is_open
            size = 1 if due is None else size if is_kept else (size + 1) // 2
            due = latest.ended if due is None else due
            self._queue.batch_size = min(self._queue.batch_size, size)
        if due is None:
            self._queue.finish(pending, is_done=False)
            is_refusal = self._policy.kind_of(failure, latest) is FailureKind.FINAL
            if pending.call.card_type is None and not is_refusal:
                seconds = latest.ended - min(pending.retry.first, self._breaker.failing_since)
                reason = message("{error} (tried for {time})", error=failure.reason, time=duration(seconds))
                failure = replace(failure, reason=reason)
            self._finish(pending, failure)
            return
        pending.keep(failure)
        self._progress.counts.retries += 1
        wait, limit = due - latest.ended, self._queue.limiter.limit
        self._context.emit(CallRetried(pending.call, failure.reason, wait, limit, pending.traceparent))
        for part in pending.split(size, self._context.run.traceparent):
            self._queue.put(part, due)

    async def _try(self, pending: PendingCall, latest: Try, connection: Connection) -> Failure | None:
        """Makes the latest try. Returns why it failed, `None` if it did not."""
        progress = self._progress
        progress.in_flight, progress.limit = self._queue.in_flight, self._queue.limiter.limit
        try:
            failure = await self._answer(pending, latest, connection)
        except BaseException:  # a cancellation while it connects arrives in a group
            if latest.sent:
                pending.join(latest, CUT_OFF)
            self._interrupted(pending)
            raise
        finally:
            progress.in_flight -= 1
        pending.join(latest, failure)
        self._adapt(pending, latest, failure)
        progress.limit = self._queue.limiter.limit
        return failure

    def _adapt(self, pending: PendingCall, latest: Try, failure: Failure | None) -> None:
        """Adapts breaker and limit to the answer to a try, which is still one of those in flight."""
        limiter, in_flight = self._queue.limiter, self._queue.in_flight
        if failure is None or failure.shows_that_it_works:
            limiter.update(failure, in_flight, len(self._breaker.failed))
            if self._breaker.succeed(latest):
                limiter.recover()
                if self._is_size_right:
                    self._queue.batch_size = self._settings.batch_size
                self._is_size_right = False
            return
        others, limit = in_flight - 1, limiter.limit
        counts = self._breaker.fail(failure, latest, pending.call, pending.retry, others=others, limit=limit)
        limiter.update(failure, in_flight, len(self._breaker.failed), counts=counts)

    async def _answer(self, pending: PendingCall, latest: Try, connection: Connection) -> Failure | None:
        """Sends the request and judges the answer: `None` if all work is done."""
        call, context, timeout = pending.call, self._context, self._settings.timeout

        def on_sending() -> None:
            context.shutdown.raise_if_requested()  # connecting may have taken long
            latest.sent = True
            self._queue.rate.send(latest.started, trio.current_time())

        with trio.move_on_after(timeout):
            try:
                token = context.tokens.cached(self._audience, pending.rejected)
                if token is None:
                    with context.shutdown.interruptible():  # the request is not in flight until it is sent
                        token = await context.tokens.get(self._audience, pending.rejected)
                if pending.last_failure is not None:  # the engine may have spoiled the connection for what follows
                    await connection.aclose()
                response = await connection.request(
                    METHOD, call.path, self._headers(pending, token), call.body, on_sending
                )
            except TokenError as error:
                return Failure(error.cause, error.reason, is_no_token=error.is_answer)
            except TransportError as error:
                return Failure(error.cause, error.reason)
            latest.status = response.status
            seen = token if pending.rejected is None else f"{token} {pending.rejected}"
            if response.status == 401:
                pending.rejected = token
            verdict = judge(call, response, seen)
            latest.verdict = verdict
            return verdict.failure
        return Failure(Cause.TIMEOUT, message("no answer within {seconds} s", seconds=timeout))

    def _headers(self, pending: PendingCall, token: str) -> dict[str, str]:
        rerun = self._context.rerun_of(pending.call)
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Idempotency-Key": self._context.run.idempotency_key(*pending.call.fingerprint, rerun=rerun),
            "traceparent": pending.traceparent,
            "User-Agent": USER_AGENT,
        }
        if pending.call.body is not None:
            headers["Content-Type"] = "application/json"
        return headers

    def _finish_done_targets(self, pending: PendingCall, failure: Failure) -> None:
        """Finishes the targets of a batch that were done, so that they are not requested again."""
        batch = BATCHES[pending.call.engine]
        done = [target for target in pending.call.targets if target not in failure.targets]
        pending.call = batch(done)
        self._finish(pending, None)
        pending.call = batch(failure.targets)
        pending.retries = pending.waits = 0

    def _interrupted(self, pending: PendingCall) -> None:
        """Finishes a call that was interrupted. A call without any try gets no result: it is not attempted."""
        if pending.latest is None:
            return
        last = pending.last_failure
        if last is None:
            self._finish(pending, CUT_OFF)
            return
        pending.latest.status = last.status
        reason = message("cut off; the try before it failed: {reason}", reason=last.reason)
        self._finish(pending, Failure(Cause.INTERRUPTED, reason, last.status, after=last.cause))

    def _finish(self, pending: PendingCall, failure: Failure | None) -> None:
        call, latest = pending.call, pending.latest
        if latest is None:
            raise AssertionError("a call without a try has no result")
        verdict = latest.verdict if failure is None else None
        result = CallResult(
            engine=call.engine,
            targets=call.targets,
            card_type=call.card_type,
            done=failure is None,
            tries=pending.tries,
            retries=pending.retries,
            waits=pending.waits,
            charged_tries=pending.charged_tries,
            started=self._stamp(latest.started),
            ended=self._stamp(latest.ended),
            status=latest.status,
            cause=failure.cause if failure else None,
            reason=failure.reason if failure else None,
            warning=verdict.warning if verdict is not None else None,
            with_error=verdict.with_error if verdict is not None else (),
            failed_tries=tuple(
                FailedTry(self._stamp(failed_try.started), self._stamp(failed_try.ended), reason)
                for failed_try, reason in pending.failed_tries
            ),
            traceparent=pending.traceparent,
            limit=self._queue.limiter.limit,
            interrupted_after=failure.after if failure else None,
            request=call.request,
            date=call.date,
            again=self._context.rerun_of(call),
        )
        if failure is None or not failure.is_interruption:
            self._progress.counts.add("failed" if failure else "done", len(call.targets))
        self._context.emit(result)
        self._on_finished(result, failure)

    def _stamp(self, time: float) -> float:
        return round(self._context.epoch + time, 3)

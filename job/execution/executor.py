"""Executor: makes every call of one engine, with the same code for all four."""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf

import trio

from job.config.environment import EngineSettings
from job.day.result import CallResult, FailedTry
from job.engines.answers import Connection, TokenError, TransportError, judge
from job.engines.calls import BATCHES, METHOD, Call, EngineName
from job.engines.failures import CUT_OFF, Cause, Failure
from job.engines.id_tokens import IdTokens
from job.engines.identity import USER_AGENT, RunIdentity
from job.execution.availability import Availability, CardTypes, RetryState, Try
from job.execution.progress import CallRetried, EngineProgress, EventHandler
from job.execution.shutdown import Shutdown, ShutdownError
from job.execution.work_queue import ConcurrencyLimiter, PendingCall, RateLimiter, WorkQueue
from job.text.messages import colon, duration, message

QUICK_SECONDS = 5.0
"""A batch that fails earlier is retried whole once: it may have met an outage, and no work of its own has failed."""
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

    def __init__(self, settings: EngineSettings, context: RunContext, on_finished: Finished) -> None:
        self._settings = settings
        self._context = context
        self._on_finished = on_finished
        self._audience = settings.audience or ""
        self._limiter = ConcurrencyLimiter(settings.concurrency)
        # An engine that the plan does not use has none.
        self._progress = context.progress.get(settings.name) or EngineProgress()
        self._engine = Availability(settings.name, settings.patience, self._progress, context.emit)
        self._card_types = CardTypes(self._engine, context.emit)
        self._batch_size = settings.batch_size
        self._has_single_failed = False
        """Whether a single ticker has failed in this outage, so that the sizes of batches are not its cause."""
        self._workers = trio.CancelScope()
        self.has_given_up = False
        """Whether it ended though calls were left: they might not be tried any more, as the engine did no other."""
        self.is_untried = False
        """Whether some of these were never tried."""

    async def run(self, calls: Iterable[Call]) -> None:
        """Returns when every call has finished, when the engine is down, when the run shuts down, or after `stop`."""
        self._progress.began = trio.current_time()
        fresh = (self._pending(call) for call in calls if not self._card_types.is_set_aside(call.card_type))
        rate = RateLimiter(self._settings.per_minute)
        queue = WorkQueue(fresh, self._engine, self._limiter, rate, self._context.shutdown)
        is_over = False
        try:
            with self._workers:
                async with trio.open_nursery() as watch:
                    watch.start_soon(self._engine.watch)
                    async with trio.open_nursery() as workers:
                        for number in range(self._settings.concurrency):
                            workers.start_soon(self._work, queue, name=f"{self._settings.url} worker {number}")
                    watch.cancel_scope.cancel()
                is_over = self._context.shutdown.reason is None
        finally:
            self.is_untried = is_over and queue.fresh() is not None
            left = queue.take(lambda _: True)
            self.has_given_up = is_over and (queue.is_closed or bool(left))
            for pending in left:
                if is_over and pending.last_failure is not None:
                    self._finish(pending, pending.last_failure)
                else:
                    self._interrupted(pending)

    def stop(self) -> None:
        """Cuts off the calls in flight, and starts no other."""
        self._workers.cancel()

    def _pending(self, call: Call) -> PendingCall:
        return PendingCall(call, RetryState(self._settings), self._context.run.traceparent())

    async def _work(self, queue: WorkQueue) -> None:
        connection = self._context.connect(self._settings.name)
        try:
            while (pending := await queue.get()) is not None:
                try:
                    await self._run_call(pending, connection, queue)
                finally:
                    queue.task_done()
        except ShutdownError:
            pass
        finally:
            await connection.aclose()

    async def _run_call(self, pending: PendingCall, connection: Connection, queue: WorkQueue) -> None:
        """Makes one try. Finishes the call, or puts it or its halves back into the queue."""
        if len(pending.call.targets) > self._batch_size:  # another batch of this size was too large
            put = queue.put_fresh if pending.last_failure is None else queue.put
            put(*self._split_in_halves(pending))
            return
        latest = Try(trio.current_time(), self._engine.streaks)
        failure = await self._try(pending, latest, connection, queue)
        if failure is None:
            self._card_types.record(pending.call.card_type, None, 0.0, is_used_up=False)
            self._finish(pending, None)
            return
        self._finish_done_targets(pending, failure)
        is_halved = self._halves(pending, latest, failure)
        wait = self._wait_after(pending, latest, failure)
        pending.last_failure, pending.failed_at = failure, latest.ended
        if self._card_types.is_set_aside(pending.call.card_type):
            for other in queue.take(lambda other: self._card_types.is_set_aside(other.call.card_type)):
                self._finish(other, other.last_failure)
            wait = None
        if failure.is_outage and wait in {None, inf}:
            self._engine.given_up += 1
        is_down = not is_halved and self._engine.is_down(latest)  # which a batch that can be halved does not show
        if wait is not None and not is_down:
            pending.retry_after(wait, failure)
            self._progress.counts.retries += 1
            limit = self._limiter.limit
            self._context.emit(CallRetried(pending.call, failure.reason, wait, limit, pending.traceparent))
            queue.put(*(self._split_in_halves(pending) if is_halved else (pending,)))
            return
        if is_down:
            queue.close()
        if wait is not None and pending.call.card_type is None:  # only the patience has ended it
            reason = message("nothing but this for {duration}", duration=duration(self._engine.seconds_failing))
            failure = replace(failure, reason=colon(reason, failure.reason))
        self._finish(pending, failure)

    def _halves(self, pending: PendingCall, latest: Try, failure: Failure) -> bool:
        """Whether the call is a batch that is retried in halves. Then later batches are smaller from the start."""
        size = len(pending.call.targets)
        if not failure.breaks_batches:
            return False
        if size == 1:
            self._has_single_failed = True
            return False
        if latest.ended < latest.started + QUICK_SECONDS and failure.cause is not Cause.TOO_LARGE:
            pending.is_repeated = not pending.is_repeated
            if pending.is_repeated:
                return False
        # A single ticker shows whether the engine is down, which a batch cannot.
        self._batch_size = 1 if self._engine.is_down(latest) else min(self._batch_size, (size + 1) // 2)
        return True

    def _wait_after(self, pending: PendingCall, latest: Try, failure: Failure) -> float | None:
        """Seconds before the next try, `None` if there is none."""
        if len(pending.call.targets) > 1 and failure.breaks_batches:
            # Its halves are different requests, so this failure does not use up one of their tries.
            return pending.retry.backoff(failure, self._context.jitter)
        used = pending.retry.used
        is_blamed = self._engine.is_trusted(pending.failed_at)
        wait = pending.retry.next_delay(failure, latest, self._context.jitter, is_blamed=is_blamed)
        if pending.call.card_type is not None:
            is_used_up = pending.retry.used > used
            self._card_types.record(pending.call.card_type, failure, latest.ended, is_used_up=is_used_up)
        return wait

    async def _try(self, pending: PendingCall, latest: Try, connection: Connection, queue: WorkQueue) -> Failure | None:
        """Makes the latest try. Returns why it failed, `None` if it did not."""
        progress = self._progress
        progress.in_flight, progress.limit = queue.in_flight, self._limiter.limit
        try:
            failure = await self._answer(pending, latest, connection)
        except BaseException:  # a cancellation while it connects arrives in a group
            if latest.sent:
                pending.join(latest)
            self._interrupted(pending)
            raise
        finally:
            progress.in_flight -= 1
        pending.join(latest)
        self._adapt(pending, latest, failure, queue.in_flight)
        progress.limit = self._limiter.limit
        return failure

    def _adapt(self, pending: PendingCall, latest: Try, failure: Failure | None, in_flight: int) -> None:
        """Adapts the limits to the answer to a try, which is still one of those in flight."""
        limit = self._limiter.limit
        self._limiter.update(failure, latest.started, in_flight)
        # A token that has just expired says nothing of the engine, unless that fails anyway.
        is_first = failure is not None and failure.is_unauthorized and not pending.retry.token_renewed
        counts = not is_first or self._engine.failures > 0
        if self._engine.update(failure, latest, in_flight - 1, limit, counts=counts):
            if self._engine.limit_before is not None:
                self._limiter.recover(self._engine.limit_before)
            if self._has_single_failed:
                self._batch_size = self._settings.batch_size
            self._has_single_failed = False

    async def _answer(self, pending: PendingCall, latest: Try, connection: Connection) -> Failure | None:
        """Sends the request and judges the answer: `None` if all work is done."""
        call, context, timeout = pending.call, self._context, self._settings.timeout

        def on_sending() -> None:
            context.shutdown.raise_if_requested()  # connecting may have taken long
            latest.sent = True

        with trio.move_on_after(timeout):
            try:
                token = context.tokens.cached(self._audience, pending.rejected)
                if token is None:
                    with context.shutdown.interruptible():  # the request is not in flight until it is sent
                        token = await context.tokens.get(self._audience, pending.rejected)
                response = await connection.request(
                    METHOD, call.path, self._headers(pending, token), call.body, on_sending
                )
            except TokenError as error:
                return Failure(Cause.IDENTITY, error.reason)
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

    def _split_in_halves(self, pending: PendingCall) -> tuple[PendingCall, PendingCall]:
        batch, targets = BATCHES[pending.call.engine], pending.call.targets
        middle = (len(targets) + 1) // 2
        first, second = (
            replace(
                pending, call=batch(part), retry=replace(pending.retry), traceparent=self._context.run.traceparent()
            )
            for part in (targets[:middle], targets[middle:])
        )
        second.retries = second.waits = 0
        return first, second

    def _finish_done_targets(self, pending: PendingCall, failure: Failure) -> None:
        """Finishes the targets of a batch that were done, so that they are not requested again."""
        if not failure.targets or failure.targets == pending.call.targets:
            return
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
        reason = message("cut off, after: {reason}", reason=last.reason)
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
            limit=self._limiter.limit,
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

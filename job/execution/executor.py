"""Executor: makes every call of one engine, with the same code for all four."""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf

import trio

from job.config.environment import EngineSettings
from job.engines.answers import judge
from job.engines.calls import BATCHES, METHOD, Call
from job.engines.catalog import EngineName
from job.engines.failures import Cause, Failure
from job.engines.identity import USER_AGENT, RunIdentity
from job.engines.transport import (
    Connection,
    TokenError,
    TokenProvider,
    TransportError,
)
from job.execution.limits import ConcurrencyLimiter
from job.execution.progress import CallRetried, EventHandler, Gauge
from job.execution.retry import RetryState
from job.execution.shutdown import Shutdown, ShutdownError
from job.execution.work_queue import WorkQueue
from job.ledger.result import CallResult, FailedTry
from job.text.messages import Message, message

FAILED_TRIES_KEPT = 10
"""Maximum number of failed tries that a result lists: a rejected call may have hundreds."""
Finished = Callable[[CallResult, Failure | None], None]
"""Gets the result of a call, and why it failed, if it did."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """The context of a run, shared by all executors."""

    run: RunIdentity
    tokens: TokenProvider
    connect: Callable[[EngineName], Connection]
    shutdown: Shutdown
    emit: EventHandler
    epoch: float = 0.0
    """The time since 1970 at which trio's clock showed zero. One for a run: a clock change must not reorder results."""
    gauges: Mapping[EngineName, Gauge] = field(default_factory=dict)
    again_of: Callable[[Call], int] = lambda _: 0
    """As in `Ledger`. Each part of a batch has a number of its own."""
    jitter: Callable[[], float] = random.random


@dataclass(slots=True)
class Try:
    """One try at a call, by trio's clock. It joins its call once it was answered, or may have been sent."""

    started: float
    sent: bool = False
    """Whether the request may have been sent, after the token and the connection were there."""
    ended: float = 0.0
    status: int | None = None
    """The HTTP status of the answer."""
    warning: Message | None = None
    """What is odd about a successful answer."""


@dataclass(slots=True)
class PendingCall:
    """A call in progress: its retries, its tries, its last failure."""

    call: Call
    retry: RetryState
    traceparent: str
    tries: int = 0
    """How often its targets were requested, also as part of larger batches."""
    retries: int = 0
    """As in `CallResult`, and `waits` too."""
    waits: int = 0
    latest: Try | None = None
    """The last try that counts."""
    wait: float = 0.0
    """Seconds before the next try."""
    rejected: str | None = None
    """The token that the engine refused."""
    last: Failure | None = None
    failed_tries: tuple[tuple[Try, Message], ...] = ()
    """The latest tries before the last one, and why each failed."""

    def join(self, latest: Try) -> None:
        """Adds a try that has just ended."""
        latest.ended = trio.current_time()
        self.latest = latest
        self.tries += 1

    def is_retried(self, failure: Failure, wait: float) -> None:
        """The last try failed, and another one follows after `wait` seconds."""
        self.wait = wait
        self.retries += 1
        self.waits += failure.has_no_room
        if self.latest is not None:
            kept = self.failed_tries[1 - FAILED_TRIES_KEPT :]
            self.failed_tries = (*kept, (self.latest, failure.reason))


class Executor:
    """Makes the calls of one engine with a fixed number of workers, each with a connection of its own.

    `on_finished` gets every call that is done or has failed for good. It may call `stop`.
    No further call starts while `max_in_flight()` calls are in flight.
    """

    def __init__(
        self,
        settings: EngineSettings,
        context: RunContext,
        on_finished: Finished,
        max_in_flight: Callable[[], float] = lambda: inf,
    ) -> None:
        self._settings = settings
        self._context = context
        self._on_finished = on_finished
        self._max_in_flight = max_in_flight
        self._url = settings.url or ""
        self._audience = settings.audience or ""
        self._limiter = ConcurrencyLimiter(settings.concurrency, settings.timeout)
        self._gauge = context.gauges.get(settings.name) or Gauge()  # an engine that the plan does not use has none
        self._batch_size = settings.batch_size
        self._workers = trio.CancelScope()

    async def run(self, calls: Iterable[Call]) -> None:
        """Returns when every call has finished, when the run shuts down, or after `stop`."""
        self._gauge.began = trio.current_time()
        queue = WorkQueue((self._pending(call) for call in calls), self._max_in_flight)
        try:
            with self._workers:
                async with trio.open_nursery() as nursery:
                    for number in range(self._settings.concurrency):
                        nursery.start_soon(self._work, queue, name=f"{self._url} worker {number}")
        finally:
            for pending in queue.remaining():
                self._interrupted(pending)

    def stop(self) -> None:
        """Cuts off the calls in flight, and starts no other."""
        self._workers.cancel()

    def _pending(self, call: Call) -> PendingCall:
        return PendingCall(call, RetryState(self._settings), self._context.run.traceparent())

    async def _work(self, queue: WorkQueue[PendingCall]) -> None:
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

    async def _run_call(self, pending: PendingCall, connection: Connection, queue: WorkQueue[PendingCall]) -> None:
        """Makes tries until the call has finished; or puts its halves back into the queue."""
        while True:
            if len(pending.call.targets) > self._batch_size:  # another batch of this size was too large
                queue.put(*self._split_in_halves(pending))
                return
            failure = await self._try(pending, connection)
            if failure is None:
                self._finish(pending, None)
                return
            pending.last = failure
            self._finish_done_targets(pending, failure)
            wait = self._wait_after(pending, failure)
            if wait is None:
                if failure.is_rejection:
                    seconds = self._settings.timeout
                    reason = message(
                        "{reason}, and nothing else for {seconds} s", reason=failure.reason, seconds=seconds
                    )
                    failure = replace(failure, reason=reason)
                self._finish(pending, failure)
                return
            pending.is_retried(failure, wait)
            self._gauge.counts.retries += 1
            limit = self._limiter.limit
            self._context.emit(CallRetried(pending.call, failure.reason, wait, limit, pending.traceparent))

    def _wait_after(self, pending: PendingCall, failure: Failure) -> float | None:
        """Seconds before the next try, `None` if there is none. Lowers the batch size after a batch failed."""
        size = len(pending.call.targets)
        if size > 1 and failure.breaks_batches:
            self._batch_size = min(self._batch_size, (size + 1) // 2)
            # Its halves are different requests, so this failure does not use up one of their tries.
            return pending.retry.backoff(failure, self._context.jitter)
        if failure.is_rejection and self._limiter.is_rejecting():
            return None
        started, ended = (pending.latest.started, pending.latest.ended) if pending.latest else (0.0, 0.0)
        return pending.retry.next_delay(failure, started, ended, self._context.jitter)

    async def _try(self, pending: PendingCall, connection: Connection) -> Failure | None:
        """One try, after its delay and with a slot of the limiter. Returns why it failed, `None` if it did not."""
        try:
            if pending.wait:
                with self._context.shutdown.interruptible():
                    await trio.sleep(pending.wait)
            await self._limiter.acquire(self._context.shutdown)
        except (ShutdownError, trio.Cancelled):
            self._interrupted(pending)
            raise
        latest, gauge = Try(trio.current_time()), self._gauge
        gauge.in_flight, gauge.limit = gauge.in_flight + 1, self._limiter.limit
        try:
            failure = await self._answer(pending, latest, connection)
            pending.join(latest)
            self._limiter.update(failure, latest.started)
        except BaseException:  # a cancellation while it connects arrives in a group
            if latest.sent:
                pending.join(latest)
            self._interrupted(pending)
            raise
        finally:
            self._limiter.release()
            gauge.in_flight, gauge.limit = gauge.in_flight - 1, self._limiter.limit
        return failure

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
            latest.warning = verdict.warning
            return verdict.failure
        return Failure(Cause.TIMEOUT, message("no answer within {seconds} s", seconds=timeout))

    def _headers(self, pending: PendingCall, token: str) -> dict[str, str]:
        again = self._context.again_of(pending.call)
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Idempotency-Key": self._context.run.idempotency_key(*pending.call.fingerprint, again=again),
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
        last = pending.last
        if last is None:
            self._finish(pending, Failure(Cause.INTERRUPTED, message("cut off")))
            return
        pending.latest.status = last.status
        reason = message("cut off, after: {reason}", reason=last.reason)
        self._finish(pending, Failure(Cause.INTERRUPTED, reason, last.status, after=last.cause))

    def _finish(self, pending: PendingCall, failure: Failure | None) -> None:
        call, latest = pending.call, pending.latest
        if latest is None:
            raise AssertionError("a call without a try has no result")
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
            warning=latest.warning if failure is None else None,
            failed_tries=tuple(
                FailedTry(self._stamp(one.started), self._stamp(one.ended), reason)
                for one, reason in pending.failed_tries
            ),
            traceparent=pending.traceparent,
            limit=self._limiter.limit,
            interrupted_after=failure.after if failure else None,
            request=call.request,
            date=call.date,
            again=self._context.again_of(call),
        )
        if failure is None or not failure.is_interruption:
            self._gauge.counts.add("failed" if failure else "done", len(call.targets))
        self._context.emit(result)
        self._on_finished(result, failure)

    def _stamp(self, time: float) -> float:
        return round(self._context.epoch + time, 3)

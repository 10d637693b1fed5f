"""Executor: makes every call of one engine, with the same code for all four."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from math import inf

import trio

from job.config.environment import EngineSettings
from job.engines.answers import LARGE_ANSWER, Verdict, judge
from job.engines.calls import BATCHES, METHOD, Call
from job.engines.catalog import ENGINES, EngineName
from job.engines.failures import CUT_OFF, Cause, Failure
from job.engines.identity import USER_AGENT, RunIdentity
from job.engines.transport import (
    Connection,
    ProcessLimitError,
    Response,
    TokenError,
    TokenProvider,
    TransportError,
)
from job.execution.events import AttemptEnded, AttemptStarted, CallFinished, EventHandler, FailedAttempt
from job.execution.limiter import ConcurrencyLimiter
from job.execution.pending_call import FAILED_ATTEMPTS_KEPT, PendingCall
from job.execution.rate_limiter import RateLimiter
from job.execution.retry import RetryPolicy, RetryState
from job.execution.shutdown import Shutdown, ShutdownError
from job.execution.work_queue import WorkQueue
from job.text.messages import message


@dataclass(frozen=True, slots=True)
class RunContext:
    """The context of a run, shared by all executors."""

    run: RunIdentity
    tokens: TokenProvider
    connect: Callable[[EngineName], Connection]
    shutdown: Shutdown
    emit: EventHandler
    jitter: Callable[[], float] = random.random
    new_connections: RateLimiter = field(default_factory=RateLimiter)
    parsing: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(1))
    """Limits the parsing of large answers to one at a time, since the parser holds the GIL."""


class _ConnectionExpiredError(Exception):
    """The connection was closed while the attempt waited for its token. The attempt starts again with a new one."""


class Executor:
    """Makes the calls of one engine with a fixed number of workers, each with a connection of its own.

    `on_finished` gets every call that is done or has failed for good; an exception from it ends `run`.
    No further call starts while `max_in_flight()` calls are in flight.
    """

    def __init__(
        self,
        settings: EngineSettings,
        context: RunContext,
        on_finished: Callable[[CallFinished], None],
        max_in_flight: Callable[[], float] = lambda: inf,
    ) -> None:
        self._settings = settings
        self._context = context
        self._on_finished = on_finished
        self._max_in_flight = max_in_flight
        self._url = settings.url or ""
        self._audience = settings.audience or ""
        self._limiter = ConcurrencyLimiter(settings.concurrency, settings.timeout)
        self._batch_size = settings.batch_size

    async def run(self, calls: Iterable[Call]) -> None:
        """Returns when every call has finished, or when the run shuts down."""
        queue = WorkQueue((self._pending(call) for call in calls), self._max_in_flight)
        try:
            async with trio.open_nursery() as nursery:
                for number in range(self._settings.concurrency):
                    nursery.start_soon(self._work, queue, name=f"{self._url} worker {number}")
        finally:
            for pending in queue.remaining():
                self._interrupted(pending)

    def _pending(self, call: Call) -> PendingCall:
        policy = RetryPolicy(self._settings.attempts, self._settings.timeout, ENGINES[call.engine].is_costly)
        return PendingCall(call, RetryState(policy), self._context.run.traceparent())

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
        """Makes attempts until the call has finished; or puts its halves back into the queue."""
        while True:
            if len(pending.call.targets) > self._batch_size:  # another batch of this size was too large
                queue.put(*self._split_in_halves(pending))
                return  # noqa: ASYNC910  an attempt was awaited
            failure = await self._attempt(pending, connection)
            if failure is CUT_OFF:
                continue
            if failure is None:
                self._finish(pending, None)
                return
            pending.last = failure
            self._finish_done_targets(pending, failure)
            wait = self._wait_after(pending, failure)
            self._context.emit(self._ended(pending, failure, wait))
            if wait is None:
                if failure.is_rejection:
                    seconds = self._settings.timeout
                    reason = message(
                        "{reason}, and nothing else for {seconds} s", reason=failure.reason, seconds=seconds
                    )
                    failure = replace(failure, reason=reason)
                self._finish(pending, failure)
                return
            pending.wait = wait
            pending.retries += 1
            pending.failed_attempts = (
                *pending.failed_attempts[1 - FAILED_ATTEMPTS_KEPT :],
                FailedAttempt(pending.started, pending.ended, failure.reason),
            )

    def _wait_after(self, pending: PendingCall, failure: Failure) -> float | None:
        """Seconds before the next attempt, `None` if there is none. Lowers the batch size after a batch failed."""
        size = len(pending.call.targets)
        if size > 1 and failure.breaks_batches:
            self._batch_size = min(self._batch_size, (size + 1) // 2)
            # Its halves are different requests, so this failure does not use up one of their attempts.
            return pending.retry.backoff(failure, self._context.jitter)
        if failure.is_rejection and self._limiter.is_rejecting():
            return None
        return pending.retry.next_delay(failure, pending.started, pending.ended, self._context.jitter)

    async def _attempt(self, pending: PendingCall, connection: Connection) -> Failure | None:
        """One attempt, after its delay and with a slot of the limiter. Returns `CUT_OFF` if it has to start again."""
        try:
            if pending.wait:
                with self._context.shutdown.interruptible():
                    await trio.sleep(pending.wait)
            await self._acquire(pending, connection)
        except (ShutdownError, trio.Cancelled):
            self._interrupted(pending)
            raise
        try:
            pending.attempts += 1
            pending.status, pending.sent = None, False
            pending.started = trio.current_time()
            self._context.emit(AttemptStarted(pending.call, self._limiter.limit))
            failure = await self._answer(pending, connection)
            pending.ended = trio.current_time()
            self._limiter.update(failure, pending.started)
        except _ConnectionExpiredError:
            pending.attempts, pending.wait = pending.attempts - 1, 0.0
            self._context.emit(self._ended(pending, CUT_OFF, None))
            return CUT_OFF
        except BaseException:  # a cancellation while it connects arrives in a group
            if not pending.sent:
                pending.attempts -= 1  # the request never left
            pending.ended = trio.current_time()
            self._context.emit(self._ended(pending, CUT_OFF, None))
            self._interrupted(pending)
            raise
        finally:
            self._limiter.release()
        if failure is None:
            self._context.emit(self._ended(pending, None, None))
        return failure

    async def _acquire(self, pending: PendingCall, connection: Connection) -> None:
        """Acquires a slot of the limiter, and first a token of the rate limiter if a new connection is needed.

        The wait for that token takes no slot, and does not count as part of an attempt or its timeout.
        """
        shutdown = self._context.shutdown
        await self._limiter.acquire(shutdown)
        pending.must_connect = not connection.is_open()
        if pending.must_connect and (turn := self._context.new_connections.reserve()) > trio.current_time():
            self._limiter.release()
            with shutdown.interruptible():
                await trio.sleep_until(turn)
            await self._limiter.acquire(shutdown)

    async def _answer(self, pending: PendingCall, connection: Connection) -> Failure | None:
        """Sends the request and judges the answer: `None` if all work is done."""
        call, context, timeout = pending.call, self._context, self._settings.timeout
        with trio.move_on_after(timeout):  # noqa: ASYNC912  the token or the answer is awaited
            try:
                token = context.tokens.cached(self._audience, pending.rejected)
                if token is None:
                    with context.shutdown.interruptible():  # the request is not in flight until it is sent
                        token = await context.tokens.get(self._audience, pending.rejected)
                    if not (pending.must_connect or connection.is_open()):
                        raise _ConnectionExpiredError
                if pending.must_connect:
                    with context.shutdown.interruptible():
                        await connection.open(self._url)
                pending.sent = True
                response = await connection.request(
                    METHOD, self._url + call.path, self._headers(pending, token), call.body
                )
            except TokenError as error:
                return Failure(Cause.IDENTITY, error.reason)  # noqa: ASYNC910  the token or the request was awaited
            except TransportError as error:
                cause = Cause.PROCESS_LIMIT if isinstance(error, ProcessLimitError) else Cause.TRANSPORT
                return Failure(cause, error.reason)  # noqa: ASYNC910  the token or the request was awaited
            pending.status = response.status
            seen = token if pending.rejected is None else f"{token} {pending.rejected}"
            if response.status == 401:
                pending.rejected = token
            verdict = await self._verdict(call, response, seen)
            pending.warning = verdict.warning
            return verdict.failure
        return Failure(Cause.TIMEOUT, message("no answer within {seconds} s", seconds=timeout))

    async def _verdict(self, call: Call, response: Response, tokens: str) -> Verdict:
        if len(response.body) < LARGE_ANSWER:
            return judge(call, response, tokens)  # noqa: ASYNC910  the answer was awaited
        return await trio.to_thread.run_sync(
            judge, call, response, tokens, abandon_on_cancel=True, limiter=self._context.parsing
        )

    def _headers(self, pending: PendingCall, token: str) -> dict[str, str]:
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Idempotency-Key": self._context.run.idempotency_key(*pending.call.fingerprint),
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
        second.retries = 0
        return first, second

    def _finish_done_targets(self, pending: PendingCall, failure: Failure) -> None:
        """Finishes the targets of a batch that were done, so that they are not requested again."""
        if not failure.targets or failure.targets == pending.call.targets:
            return
        batch = BATCHES[pending.call.engine]
        done = [target for target in pending.call.targets if target not in failure.targets]
        pending.call = batch(done)
        self._finish(pending, None)
        pending.call, pending.retries = batch(failure.targets), 0

    def _interrupted(self, pending: PendingCall) -> None:
        """Finishes a call that was interrupted. A call without any attempt gets no result: it is not attempted."""
        if not pending.attempts:
            return
        last = pending.last
        if last is None:
            self._finish(pending, Failure(Cause.INTERRUPTED, message("interrupted")))
            return
        pending.status = last.status
        reason = message("interrupted, after: {reason}", reason=last.reason)
        self._finish(pending, Failure(Cause.INTERRUPTED, reason, last.status, after=last.cause))

    def _ended(self, pending: PendingCall, failure: Failure | None, wait: float | None) -> AttemptEnded:
        return AttemptEnded(
            pending.call, pending.started, pending.ended, failure, wait, self._limiter.limit, pending.traceparent
        )

    def _finish(self, pending: PendingCall, failure: Failure | None) -> None:
        finished = CallFinished(
            call=pending.call,
            failure=failure,
            attempts=pending.attempts,
            started=pending.started,
            ended=pending.ended,
            status=pending.status,
            traceparent=pending.traceparent,
            limit=self._limiter.limit,
            retries=pending.retries,
            failed_attempts=pending.failed_attempts,
            warning=pending.warning if failure is None else None,
        )
        self._context.emit(finished)
        self._on_finished(finished)

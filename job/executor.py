"""Makes every call of one engine: the same code for all four."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import trio

from job.answers import Cause, Failure, Reply, judge
from job.connection import TransportError
from job.engines import BATCHES, METHOD, Call
from job.events import AttemptEnded, AttemptStarted, CallFinished, Watch
from job.halt import Halt, HaltedError
from job.identity import IdentityError
from job.retry import Tries
from job.settings import EngineSettings
from job.trace import USER_AGENT, Run


class Exchanger(Protocol):
    """What a worker needs of its connection."""

    async def exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Reply: ...
    async def aclose(self) -> None: ...


class TokenGiver(Protocol):
    """What a worker needs of the run's identity."""

    async def get(self, audience: str, rejected: str | None = None) -> str: ...


@dataclass(frozen=True, slots=True)
class Means:
    """What the executors of a run share."""

    run: Run
    tokens: TokenGiver
    connect: Callable[[], Exchanger]
    halt: Halt
    watch: Watch
    dice: Callable[[], float] = random.random


@dataclass(slots=True)
class _Course:
    """One call on its way, over all its attempts."""

    call: Call
    tries: Tries
    traceparent: str
    attempts: int = 0
    seconds: float = 0.0
    status: int | None = None
    rejected: str | None = None
    """The token that the engine refused."""
    last: Failure | None = None


class Executor:
    """Makes calls with as many workers as the engine's bound allows; each owns its connection and one call at a time.

    `settled` is told of every call that is done or has failed for good; what it raises ends the engine's work.
    """

    def __init__(self, settings: EngineSettings, means: Means, settled: Callable[[CallFinished], None]) -> None:
        self._settings = settings
        self._means = means
        self._settled = settled
        self._url = settings.url or ""
        self._audience = settings.audience or ""

    async def run(self, calls: Iterable[Call]) -> None:
        """Returns when every call has finished, or when the run is halted."""
        backlog = iter(calls)
        async with trio.open_nursery() as nursery:
            for number in range(self._settings.concurrency):
                nursery.start_soon(self._work, backlog, name=f"{self._url} worker {number}")

    async def _work(self, backlog: Iterator[Call]) -> None:
        connection = self._means.connect()
        try:
            for call in backlog:
                await self._perform(call, connection)
        except HaltedError:
            pass
        finally:
            await connection.aclose()

    async def _perform(self, call: Call, connection: Exchanger) -> None:
        tries = Tries(self._settings.attempts, costly=call.engine == "qa")
        course = _Course(call, tries, self._means.run.traceparent())
        wait: float | None = 0.0
        while wait is not None:
            await self._pause(course, wait)
            failure = await self._attempt(course, connection)
            if failure is None:
                self._finish(course, None)
                return
            self._split_off_done(course, failure)
            wait = tries.after(failure, self._means.dice)
            self._means.watch(AttemptEnded(course.call, course.seconds, failure, wait))
            course.last = failure
        self._finish(course, course.last)

    async def _pause(self, course: _Course, seconds: float) -> None:
        try:
            with self._means.halt.waiting():
                if seconds:
                    await trio.sleep(seconds)
        except (HaltedError, trio.Cancelled):
            self._interrupted(course)
            raise

    async def _attempt(self, course: _Course, connection: Exchanger) -> Failure | None:
        started = trio.current_time()
        course.attempts += 1
        course.status = None
        self._means.watch(AttemptStarted(course.call))
        timeout = self._settings.timeout
        failure: Failure | None = Failure(Cause.TIMEOUT, f"no answer within {timeout:g} s")
        try:
            with trio.move_on_after(timeout):
                failure = await self._exchange(course, connection)
        except (HaltedError, trio.Cancelled):
            course.seconds = trio.current_time() - started
            self._means.watch(AttemptEnded(course.call, course.seconds, course.last, None))
            self._interrupted(course)
            raise
        course.seconds = trio.current_time() - started
        if failure is None:
            self._means.watch(AttemptEnded(course.call, course.seconds, None, None))
        return failure

    async def _exchange(self, course: _Course, connection: Exchanger) -> Failure | None:
        call, means = course.call, self._means
        try:
            with means.halt.waiting():  # a request that has not left yet is not in flight
                token = await means.tokens.get(self._audience, course.rejected)
            headers = {
                "Authorization": f"Bearer {token}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "Idempotency-Key": means.run.idempotency_key(call, METHOD),
                "traceparent": course.traceparent,
                "User-Agent": USER_AGENT,
            }
            if call.body is not None:
                headers["Content-Type"] = "application/json"
            reply = await connection.exchange(METHOD, self._url + call.path, headers, call.body)
        except IdentityError as error:
            return Failure(Cause.IDENTITY, str(error))
        except TransportError as error:
            return Failure(Cause.TRANSPORT, str(error))
        course.status = reply.status
        if reply.status == 401:
            course.rejected = token
        return judge(call, reply)

    def _split_off_done(self, course: _Course, failure: Failure) -> None:
        """The targets of a batch that were done are not asked for again."""
        if not failure.targets or failure.targets == course.call.targets:
            return
        batch = BATCHES[course.call.engine]
        done = [target for target in course.call.targets if target not in failure.targets]
        course.call = batch(done)
        self._finish(course, None)
        course.call = batch(failure.targets)

    def _interrupted(self, course: _Course) -> None:
        """Accounts for a call that was asked for and will not be again; one that never was is not attempted."""
        if course.attempts:
            text = f"interrupted, after: {course.last.text}" if course.last else "interrupted"
            self._finish(course, Failure(Cause.INTERRUPTED, text, course.last.status if course.last else None))

    def _finish(self, course: _Course, failure: Failure | None) -> None:
        finished = CallFinished(
            course.call, failure, course.attempts, course.seconds, course.status, course.traceparent
        )
        self._means.watch(finished)
        self._settled(finished)

"""Makes every call of one engine: the same code for all four."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import inf

import trio

from job.answers import Cause, Failure, judge
from job.backlog import Backlog
from job.bound import Bound
from job.connection import TransportError
from job.engines import BATCHES, METHOD, Call
from job.events import AttemptEnded, AttemptStarted, CallFinished, Spoilt
from job.halt import HaltedError
from job.identity import IdentityError
from job.means import Exchanger, Means
from job.retry import Tries, is_halved
from job.settings import EngineSettings
from job.trace import USER_AGENT

CUT_OFF = Failure(Cause.INTERRUPTED, "cut off")
SPOILT_KEPT = 10
"""Attempts of one call that its result tells of: a rejected call may have hundreds."""


@dataclass(slots=True)
class _Course:
    """One call on its way, over all its attempts."""

    call: Call
    tries: Tries
    traceparent: str
    attempts: int = 0
    """How often its targets were asked for, in larger batches too."""
    sent: bool = False
    """Whether the latest attempt had its token, so that a request may have left."""
    started: float = 0.0
    ended: float = 0.0
    status: int | None = None
    wait: float = 0.0
    """Seconds before the next attempt."""
    rejected: str | None = None
    """The token that the engine refused."""
    last: Failure | None = None
    spoilt: tuple[Spoilt, ...] = ()


class Executor:
    """Makes calls with as many workers as the engine's bound allows; each owns its connection and one call at a time.

    `settled` is told of every call that is done or has failed for good; what it raises ends the engine's work. No other
    call is begun while as many as `room` are under way.
    """

    def __init__(
        self,
        settings: EngineSettings,
        means: Means,
        settled: Callable[[CallFinished], None],
        room: Callable[[], float] = lambda: inf,
    ) -> None:
        self._settings = settings
        self._means = means
        self._settled = settled
        self._room = room
        self._url = settings.url or ""
        self._audience = settings.audience or ""
        self._bound = Bound(settings.concurrency, settings.timeout)
        self._batch_size = settings.batch_size

    async def run(self, calls: Iterable[Call]) -> None:
        """Returns when every call has finished, or when the run is halted."""
        backlog = Backlog((self._course(call) for call in calls), self._room)
        try:
            async with trio.open_nursery() as nursery:
                for number in range(self._settings.concurrency):
                    nursery.start_soon(self._work, backlog, name=f"{self._url} worker {number}")
        finally:
            for course in backlog.left_over():
                self._interrupted(course)

    def _course(self, call: Call) -> _Course:
        tries = Tries(self._settings.attempts, self._settings.timeout, costly=call.engine == "qa")
        return _Course(call, tries, self._means.run.traceparent())

    async def _work(self, backlog: Backlog[_Course]) -> None:
        connection = self._means.connect()
        try:
            while (course := await backlog.take()) is not None:
                try:
                    await self._perform(course, connection, backlog)
                finally:
                    backlog.done()
        except HaltedError:
            pass
        finally:
            await connection.aclose()

    async def _perform(self, course: _Course, connection: Exchanger, backlog: Backlog[_Course]) -> None:
        """Brings a call to its end, or puts its halves back."""
        while True:
            if len(course.call.targets) > self._batch_size:  # a batch has shown that one of this size is too large
                backlog.put_back(*self._halves(course))
                return  # noqa: ASYNC910  an attempt was awaited
            failure = await self._attempt(course, connection)
            if failure is None:
                self._finish(course, None)
                return
            course.last = failure
            self._split_off_done(course, failure)
            wait = self._wait_after(course, failure)
            self._means.watch(self._ended(course, failure, wait))
            if wait is None:
                if failure.status == 429:
                    failure = replace(
                        failure, text=f"{failure.text}, and nothing else for {self._settings.timeout:g} s"
                    )
                self._finish(course, failure)
                return
            course.wait = wait
            course.spoilt = (*course.spoilt[1 - SPOILT_KEPT :], Spoilt(course.started, course.ended, failure.text))

    def _wait_after(self, course: _Course, failure: Failure) -> float | None:
        """Seconds before the next attempt, `None` where there is none; learns which batches are too large."""
        size = len(course.call.targets)
        if size > 1 and is_halved(failure):
            self._batch_size = min(self._batch_size, (size + 1) // 2)
            # A smaller batch is another question: this answer spoils none of its attempts.
            return course.tries.pause(failure, self._means.dice)
        if failure.status == 429 and self._bound.is_rejecting():
            return None
        return course.tries.after(failure, course.started, course.ended, self._means.dice)

    async def _attempt(self, course: _Course, connection: Exchanger) -> Failure | None:
        """One attempt, after its wait and with a slot of the engine's bound."""
        try:
            if course.wait:
                with self._means.halt.waiting():
                    await trio.sleep(course.wait)
            await self._bound.enter(self._means.halt)
        except (HaltedError, trio.Cancelled):
            self._interrupted(course)
            raise
        try:
            course.attempts += 1
            course.status, course.sent = None, False
            course.started = trio.current_time()
            self._means.watch(AttemptStarted(course.call, self._bound.limit))
            failure = await self._answer(course, connection)
            course.ended = trio.current_time()
            self._bound.learn(failure, course.started)
        except (HaltedError, trio.Cancelled):
            if not course.sent:
                course.attempts -= 1  # its token was not there yet: the request never left
            course.ended = trio.current_time()
            self._means.watch(self._ended(course, CUT_OFF, None))
            self._interrupted(course)
            raise
        finally:
            self._bound.leave()
        if failure is None:
            self._means.watch(self._ended(course, None, None))
        return failure

    async def _answer(self, course: _Course, connection: Exchanger) -> Failure | None:
        """What the engine says to one request: `None` if all is done."""
        call, means, timeout = course.call, self._means, self._settings.timeout
        with trio.move_on_after(timeout):  # noqa: ASYNC912  the token or the answer is awaited
            try:
                token = means.tokens.at_hand(self._audience, course.rejected)
                if token is None:
                    with means.halt.waiting():  # a request that has not left yet is not in flight
                        token = await means.tokens.get(self._audience, course.rejected)
                course.sent = True
                reply = await connection.exchange(
                    METHOD, self._url + call.path, self._headers(course, token), call.body
                )
            except IdentityError as error:
                return Failure(Cause.IDENTITY, str(error))  # noqa: ASYNC910  both phases were awaited
            except TransportError as error:
                return Failure(Cause.TRANSPORT, str(error))  # noqa: ASYNC910  both phases were awaited
            course.status = reply.status
            if reply.status == 401:
                course.rejected = token
            return judge(call, reply)
        return Failure(Cause.TIMEOUT, f"no answer within {timeout:g} s")

    def _headers(self, course: _Course, token: str) -> dict[str, str]:
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Idempotency-Key": self._means.run.idempotency_key(course.call, METHOD),
            "traceparent": course.traceparent,
            "User-Agent": USER_AGENT,
        }
        if course.call.body is not None:
            headers["Content-Type"] = "application/json"
        return headers

    def _halves(self, course: _Course) -> tuple[_Course, _Course]:
        batch, targets = BATCHES[course.call.engine], course.call.targets
        middle = (len(targets) + 1) // 2
        first, second = (
            replace(course, call=batch(part), tries=replace(course.tries), traceparent=self._means.run.traceparent())
            for part in (targets[:middle], targets[middle:])
        )
        return first, second

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

    def _ended(self, course: _Course, failure: Failure | None, wait: float | None) -> AttemptEnded:
        return AttemptEnded(
            course.call, course.started, course.ended, failure, wait, self._bound.limit, course.traceparent
        )

    def _finish(self, course: _Course, failure: Failure | None) -> None:
        finished = CallFinished(
            call=course.call,
            failure=failure,
            attempts=course.attempts,
            started=course.started,
            ended=course.ended,
            status=course.status,
            traceparent=course.traceparent,
            bound=self._bound.limit,
            spoilt=course.spoilt,
        )
        self._means.watch(finished)
        self._settled(finished)

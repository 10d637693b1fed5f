"""Stand-ins for the engines: they answer as on a recorded night, in virtual time."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from urllib.parse import unquote

import trio
from pydantic_core import from_json, to_json

from job.engines.calls import BATCHES
from job.engines.catalog import EngineName
from job.engines.failures import Cause
from job.engines.transport import ProcessLimitError, Response, TokenError, TransportError
from job.planning.plan import Plan
from job.rehearsal.recorded import REJECTED, Answer, Course, Kind, RecordedNight
from job.text.messages import message

OUTAGE_SECONDS = 0.05
"""How long an engine that is down takes to answer 503."""
_LOST = message("connection reset")
_SUCCESS: Mapping[EngineName, bytes] = {
    "financial": b'{"message":""}',
    "news": b'{"status":"success"}',
    "qa": b'{"status":"success"}',
}


@dataclass(frozen=True, slots=True)
class Outage:
    """An engine answers every call with 503, also those in flight. Times are seconds from the start of the run."""

    engine: EngineName
    begins: float
    ends: float


@dataclass
class StandIns:
    """All engines of one rehearsed night."""

    nights: Sequence[RecordedNight]
    """The night whose answers are used, then those that are used for kinds of calls which it lacks."""
    plan: Plan
    seed: str
    outages: Sequence[Outage] = ()
    unknown: Counter[Kind] = field(default_factory=Counter)
    """The calls whose kind no night has: the answers are those of the engine's other calls."""
    requests: Counter[EngineName] = field(default_factory=Counter)
    paid: int = 0
    """Requests for cards on which the engine may have worked: a success, or no whole answer."""
    every: int = 1
    """One of so many targets is played."""
    at_work: Counter[EngineName] = field(default_factory=Counter)
    """The calls that an engine works on."""
    in_flight: Counter[EngineName] = field(default_factory=Counter)
    most_in_flight: Counter[EngineName] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._planned = Counter[Kind]()
        for target in self.plan.targets:
            self._planned.update(("qa", card_type) for card_type in target.card_types)
        self._planned["news", None] = self.plan.count("news")
        for engine in BATCHES:
            size = self.plan.batch_sizes[engine]
            self._planned[engine, size] = -(-self.plan.count(engine) // size)
        self._began: dict[EngineName, float] = {}
        self._decks: dict[Kind, Sequence[Course]] = {}
        self._dealt = Counter[Kind]()
        self._left: dict[str, Iterator[Answer]] = {}
        self._last: dict[str, Answer] = {}

    def connect(self, engine: EngineName) -> "StandIn":
        """A connection to an engine."""
        return StandIn(self, engine)

    def has_room(self, engine: EngineName) -> bool:
        """Whether an engine takes another call, besides those that it works on."""
        time = trio.current_time()
        began = self._began.setdefault(engine, time)
        return self.at_work[engine] < self.nights[0].room[engine].limit((time - began) * self.every)

    def answer(self, kind: Kind, call: str) -> Answer:
        """The answer to the next attempt at a call, which `call` identifies. After the last known one it repeats."""
        if kind[0] in BATCHES:
            return self._deal(kind)[0]
        answers = self._left.get(call)
        if answers is None:
            answers = self._left[call] = iter(self._deal(kind))
        found = next(answers, None)
        if found is None:
            return self._last[call]
        if found.cause is None:
            self._left.pop(call)
            self._last.pop(call, None)
        else:
            self._last[call] = found
        return found

    def _deal(self, kind: Kind) -> Course:
        """A call's course is that of a call which began at the same part of the recorded night."""
        deck = self._decks.get(kind)
        if deck is None:
            deck = self._decks[kind] = self._shuffled(kind)
        number, planned = self._dealt[kind], self._planned[kind]
        self._dealt[kind] += 1
        return deck[number * len(deck) // planned if number < planned else number % len(deck)]

    def _shuffled(self, kind: Kind) -> Sequence[Course]:
        """The recorded calls of a kind. Successes are shuffled among those that were in flight together.

        Failures keep their places: those of an outage come together.
        """
        night, deck = self._recorded(kind)
        reach = max(1, night.concurrency[kind[0]])
        places = [number for number, course in enumerate(deck) if course[0].cause is None]
        chance = random.Random(f"{self.seed} {kind}")  # noqa: S311  of its own: kinds are shuffled in any order
        order = sorted(range(len(places)), key=lambda number: number + chance.uniform(0.0, reach))
        shuffled = list(deck)
        for place, number in zip(places, order, strict=True):
            shuffled[place] = deck[places[number]]
        return shuffled

    def _recorded(self, kind: Kind) -> tuple[RecordedNight, Sequence[Course]]:
        engine, what = kind
        for night in self.nights:
            if deck := night.courses.get(kind):
                return night, deck
        for night in self.nights:
            sizes = [size for other, size in night.courses if other == engine and isinstance(size, int)]
            if isinstance(what, int) and sizes:
                near = min(sizes, key=lambda size: (abs(size - what), size))
                return night, night.courses[engine, near]
            if deck := [course for (other, _), found in night.courses.items() if other == engine for course in found]:
                self.unknown[kind] += self._planned[kind]
                return night, deck
        raise AssertionError("a night without any call of an engine is not rehearsed")


class Tokens:
    """Tokens of nobody: the time that a token takes is part of the recorded attempts."""

    def cached(self, _audience: str, rejected: str | None = None) -> str | None:
        """See `TokenProvider`."""
        return "renewed" if rejected == "token" else "token"

    async def get(self, _audience: str, _rejected: str | None = None) -> str:
        """See `TokenProvider`."""
        raise AssertionError("a token is always at hand")


class StandIn:
    """A connection to an engine that does not exist."""

    def __init__(self, engines: StandIns, engine: EngineName) -> None:
        self._engines = engines
        self._engine = engine
        self._is_open = False

    def is_open(self) -> bool:
        """See `Connection`."""
        return self._is_open

    async def open(self, _url: str) -> None:
        """See `Connection`. It takes no time of its own: recorded attempts include it."""
        self._is_open = self._engine == "qa"

    async def aclose(self) -> None:
        """See `Connection`."""

    async def request(self, _method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        """See `Connection`."""
        engines, engine = self._engines, self._engine
        engines.requests[engine] += 1
        engines.in_flight[engine] += 1
        engines.most_in_flight[engine] = max(engines.most_in_flight[engine], engines.in_flight[engine])
        try:
            return await self._answered(url, headers, body)
        except BaseException:  # also if it is cut off, as after a timeout
            self._is_open = False
            raise
        finally:
            engines.in_flight[engine] -= 1

    async def _answered(self, url: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        engines, engine, now = self._engines, self._engine, trio.current_time()
        tickers: list[str] = from_json(body)["tickers"] if engine in BATCHES and body else []
        for outage in engines.outages:
            if outage.engine == engine and outage.begins <= now < outage.ends:
                await trio.sleep(OUTAGE_SECONDS)
                return Response(503, b"")
        if not engines.has_room(engine):
            await trio.sleep(engines.nights[0].room[engine].seconds)
            return Response(REJECTED, b"")
        engines.at_work[engine] += 1
        try:
            return await self._worked_on(url, tickers, headers["traceparent"])
        finally:
            engines.at_work[engine] -= 1

    async def _worked_on(self, url: str, tickers: Sequence[str], call: str) -> Response:
        engines, engine, now = self._engines, self._engine, trio.current_time()
        answer = engines.answer(self._kind(url, tickers), call)
        until = inf if answer.cause is Cause.TIMEOUT else now + answer.seconds
        for outage in engines.outages:
            if outage.engine == engine and now < outage.begins < until:
                await trio.sleep_until(outage.begins)
                return Response(503, b"")
        if engine == "qa" and (answer.status in range(200, 300) or answer.cause in {Cause.TIMEOUT, Cause.TRANSPORT}):
            engines.paid += 1
        await trio.sleep_until(until)
        return self._response(answer, tickers)

    def _kind(self, url: str, tickers: Sequence[str]) -> Kind:
        if self._engine in BATCHES:
            return self._engine, len(tickers)
        if self._engine == "news":
            return "news", None
        return "qa", unquote(url.rpartition("/card/")[2].partition("?")[0])

    def _response(self, answer: Answer, tickers: Sequence[str]) -> Response:
        """The response that the executor judges as that answer was judged. Raises what a connection raises."""
        match answer.cause:
            case Cause.STATUS:
                return Response(answer.status or 500, b"")
            case Cause.TRANSPORT:
                raise TransportError(_LOST)
            case Cause.PROCESS_LIMIT:
                raise ProcessLimitError(_LOST)
            case Cause.IDENTITY:
                raise TokenError(_LOST)
            case Cause.UNREADABLE:
                return Response(200, b"")
        failed = answer.failed if answer.cause is not None else 0
        if self._engine == "trading":
            results = {ticker: {"status": "success"} for ticker in tickers[failed:]}
            return Response(200, to_json({"results": results}))
        return Response(200, b"null" if failed else _SUCCESS[self._engine])

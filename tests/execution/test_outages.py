"""An outage that is shorter than an engine's patience costs time, and nothing else; a longer one ends as it should.

The nights are played by their duration, with the defaults: 60 tickers and 300 cards take 458 s untouched.
"""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from job.day.ending import ending_of
from job.day.result import CallResult, EngineFailedError, ShutdownReason
from job.engines.answers import Response, TokenError, TransportError
from job.engines.calls import ALL_ENGINES, ENGINES, EngineName
from job.execution.progress import CallRetried, EngineFailing, EngineRecovered
from job.text.messages import message
from tests.support.fakes import Asked, Script, Stage, reply, stage, target, well
from tests.support.results import result_of

SECONDS: Mapping[EngineName, float] = {"financial": 20.0, "trading": 26.0, "news": 8.0, "qa": 20.0}
"""How long an engine works on a call."""
QUICKLY = 0.05
"""How soon it fails otherwise."""
DEADLINE = 10_740.0
FOR_GOOD = 10.0**9
How = int | str | None
"""A status; "reset", "html", "denied" at once; "lost" after the work; "hang"; `None`: the work is done."""
Strike = Callable[[Asked, float], How]
"""What befalls a request at a time."""


def striking(strike: Strike, seconds: Mapping[EngineName, float] = SECONDS) -> Script:
    """Engines that work, but for what befalls them."""

    async def script(asked: Asked) -> Response:
        how = strike(asked, trio.current_time())
        if how == "hang":
            await trio.sleep_forever()
        await trio.sleep(seconds[asked.engine] if how in {None, "lost"} else QUICKLY)
        match how:
            case None:
                return well(asked)
            case int():
                return reply({"detail": "x"}, how)
            case "html":
                return Response(200, b"<html>")
            case "denied":
                return reply({"status": "failed"})
        raise TransportError(message("connection reset"))

    return script


def out(how: How, begin: float, end: float, *engines: EngineName) -> Strike:
    """These engines, all of them by default, are out from one time to another."""
    struck = engines or ALL_ENGINES
    return lambda asked, now: how if asked.engine in struck and begin <= now < end else None


@dataclass
class Night:
    """A night that was played."""

    made: Stage
    exit: int
    outcome: str
    seconds: float
    error: EngineFailedError | None

    def wasted(self, engine: EngineName) -> int:
        """Requests that did not do a call."""
        done = sum(event.done for event in self.made.world.finished if event.engine == engine)
        return len(self.made.world.of(engine)) - done

    @property
    def most_for_a_card(self) -> int:
        """How often the card was asked for that was asked for most."""
        asked = Counter((one.path, one.query["ticker"]) for one in self.made.world.of("qa"))
        return max(asked.values(), default=0)

    @property
    def reasons(self) -> list[str]:
        """Why engines are said to fail."""
        return [str(event.reason) for event in self.made.world.events if isinstance(event, EngineFailing)]

    @property
    def told(self) -> list[str]:
        """What people are told of engines, in order."""
        kinds = (EngineFailing, EngineRecovered)
        return [type(event).__name__ for event in self.made.world.events if isinstance(event, kinds)]


def night(
    strike: Strike,
    *stops: tuple[float, ShutdownReason],
    tickers: int = 60,
    card_types: str = "abcde",
    engines: Mapping[EngineName, Mapping[str, Any]] | None = None,
    seconds: Mapping[EngineName, float] = SECONDS,
    token: Callable[[str, str | None], Awaitable[str]] | None = None,
    **all_engines: Any,
) -> Night:
    """Plays a night. `engines` changes settings of single ones, `all_engines` of all."""
    settings = {
        name: {"timeout": spec.timeout, "concurrency": spec.concurrency, "batch_size": spec.batch_size}
        | all_engines
        | dict((engines or {}).get(name, {}))
        for name, spec in ENGINES.items()
    }
    targets = [target(f"T{number}", card_types) for number in range(tickers)]
    made = stage(targets, striking(strike, seconds), settings, random.Random(1).random)
    made.world.token = token

    async def play() -> Night:
        error = None
        try:
            await made.play((DEADLINE, ShutdownReason.DEADLINE), *stops)
        except EngineFailedError as failed:
            error = failed
        ending = ending_of(made.ledger, made.shutdown.reason, error)
        assert ending.exit_code is not None
        return Night(made, int(ending.exit_code), str(ending.outcome), trio.current_time(), error)

    played = trio.run(play, clock=MockClock(autojump_threshold=0))
    assert_no_second_request_in_flight(made)
    return played


def assert_no_second_request_in_flight(made: Stage) -> None:
    """A call is never asked for while a request for it is in flight: none is a probe besides."""
    last: dict[tuple[str, str, str], float] = {}
    for asked in made.world.asked:
        for ticker in asked.tickers:
            call = (asked.engine, ticker, asked.path if asked.engine == "qa" else "")
            assert last.get(call, 0.0) <= asked.time, call
            last[call] = FOR_GOOD if asked.ended is None else asked.ended


SHORT: Mapping[str, tuple[Strike, float, int, int]] = {
    "503 for 2 s, news": (out(503, 0, 2, "news"), 480, 12, 1),
    "503 for 300 s, trading": (out(503, 10, 310, "trading"), 1010, 22, 1),
    "503 for 300 s, qa": (out(503, 100, 400, "qa"), 900, 34, 2),
    "no right for the first 7 min": (out(403, 0, 420), 940, 33, 1),
    "409 for 5 min, news": (out(409, 10, 310, "news"), 820, 1_150, 1),
    "429 for 400 s, qa": (out(429, 100, 500, "qa"), 990, 36, 2),
    "answers of something else for 300 s, qa": (out("html", 100, 400, "qa"), 850, 50, 2),
    "answers lost for 300 s, qa": (out("lost", 100, 400, "qa"), 900, 34, 2),
    "a hang of 200 s, news": (out("hang", 10, 210, "news"), 820, 9, 1),
    "news and qa over the barrier": (out(503, 60, 200, "news", "qa"), 750, 30, 2),
}
"""What befalls a night; the seconds, the requests of each engine, and how often a card is asked for at most."""
FAST = {"503 for 2 s, news", "503 for 300 s, qa", "no right for the first 7 min"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in FAST else pytest.mark.slow) for n in SHORT])
def test_an_outage_that_is_shorter_than_the_patience_costs_time_and_nothing_else(name: str) -> None:
    strike, seconds, wasted, most = SHORT[name]
    played = night(strike)
    assert (played.exit, played.outcome) == (0, "succeeded"), played.error
    assert played.made.cards.done == played.made.cards.planned
    assert played.seconds <= seconds
    assert max(played.wasted(engine) for engine in ALL_ENGINES) <= wasted
    assert played.most_for_a_card <= most


@pytest.mark.parametrize("how", ["html", 503])
@pytest.mark.parametrize(("cards", "concurrency", "seconds"), [(5, 16, 60), (150, 256, 15), (60, 16, 120)])
def test_few_cards_survive_an_outage_as_many_do(how: How, cards: int, concurrency: int, seconds: int) -> None:
    """All of them are in flight when it begins, as in a second start or at the end of a night: fewer than the limit."""
    strike = out(how, 26, 26 + seconds, "qa")
    limits: Mapping[EngineName, int] = {"financial": 30, "trading": 30, "news": 30, "qa": concurrency}
    played = night(strike, tickers=cards // 5, engines={name: {"concurrency": limit} for name, limit in limits.items()})
    assert (played.exit, played.made.cards.done) == (0, cards)
    assert played.wasted("qa") <= cards + 10
    assert played.most_for_a_card <= 4


def test_a_lasting_401_is_asked_for_one_at_a_time() -> None:
    """Each is asked for with a fresh token too."""
    assert night(out(401, 100, 400, "qa")).wasted("qa") <= 70


def test_an_outage_lasts_until_the_call_began_that_was_done() -> None:
    """Not until it has ended: one second out is not worth a note, though a batch takes four minutes."""
    played = night(out(503, 0, 1, "trading"), tickers=5, seconds={**SECONDS, "trading": 240.0})
    assert played.exit == 0
    assert played.made.live.engines["trading"].seconds_out == 0


LONG: Mapping[str, tuple[Strike, int, str, float, int]] = {
    "503, trading": (out(503, 0, FOR_GOOD, "trading"), 1, "data_engine_failed", 605, 32),
    "503, qa": (out(503, 0, FOR_GOOD, "qa"), 3, "qa_engine_down", 690, 82),
    "a hang, news": (out("hang", 0, FOR_GOOD, "news"), 1, "data_engine_failed", 1_232, 30),
    "a hang, qa": (out("hang", 0, FOR_GOOD, "qa"), 3, "qa_engine_down", 1_850, 66),
    "answers lost, qa": (out("lost", 0, FOR_GOOD, "qa"), 3, "qa_engine_down", 790, 80),
    "no right at all": (out(403, 0, FOR_GOOD), 1, "data_engine_failed", 605, 42),
}


@pytest.mark.parametrize("name", LONG)
def test_an_outage_that_is_longer_ends_once_the_patience_is_over(name: str) -> None:
    strike, code, outcome, seconds, wasted = LONG[name]
    played = night(strike)
    assert (played.exit, played.outcome) == (code, outcome)
    assert 600 <= played.seconds <= seconds
    assert max(played.wasted(engine) for engine in ALL_ENGINES) <= wasted
    assert played.most_for_a_card <= 2, "once more when the patience is over"
    assert len(played.told) == (3 if name == "no right at all" else 1)
    if "hang" not in name:
        assert not any(asked.cut_off for asked in played.made.world.of("qa")), "what is in flight is awaited"
    if played.error is not None:
        assert name == "no right at all" or len(played.error.result.targets) == 1
        assert "(tried for " in str(played.error)


@pytest.mark.parametrize(
    ("engine", "how", "most"), [("news", 503, 33), ("trading", 429, 33), ("qa", 403, 36), ("qa", "hang", 3)]
)
def test_the_only_call_of_an_engine_ends_for_its_own_reason(engine: EngineName, how: How, most: int) -> None:
    """It is asked for seldom, if that may cost money."""
    played = night(out(how, 0, FOR_GOOD, engine), tickers=1, card_types="a")
    assert played.outcome == ("qa_engine_down" if engine == "qa" else "data_engine_failed")
    assert played.wasted(engine) <= most


async def test_what_is_left_of_a_day_of_which_others_are_made_fails_for_its_own_reason(
    autojump_clock: MockClock,
) -> None:
    """A later start has only the bad ones, and does none: that says nothing of the engine."""
    made = stage([target("A", "ab", ())], striking(out(503, 0, FOR_GOOD, "qa")), {"qa": {"patience": 5.0}})
    made.ledger.add(result_of(next(made.ledger.plan.calls("qa"))))
    await made.phases.generate()
    assert (made.cards.done, made.cards.failed, made.shutdown.reason) == (1, 1, None)


@pytest.mark.parametrize(("engine", "how", "most"), [("news", 503, 55), ("qa", 500, 3), ("qa", 503, 55)])
@pytest.mark.parametrize("concurrency", [1, None])
def test_one_poisoned_call_among_others_fails_alone_after_its_tries(
    engine: EngineName, how: int, most: int, concurrency: int | None
) -> None:
    """The others are made, at one call at a time too; a card is not asked for more often than it may cost."""

    def strike(asked: Asked, _: float) -> How:
        is_poisoned = asked.engine == engine and asked.tickers == ("T5",) and asked.path.endswith(("/a", "/T5"))
        return how if is_poisoned else None

    changes: dict[str, Any] = {"concurrency": concurrency} if concurrency else {}
    played = night(strike, tickers=60, card_types="ab", **changes)
    assert played.exit == (1 if engine == "news" else 3)
    assert played.seconds < (4_500 if concurrency else 1_290)
    asked = Counter((one.engine, one.path) for one in played.made.world.asked if one.tickers == ("T5",))
    assert max(asked.values()) <= most
    assert concurrency or played.made.live.engines["qa"].outages == 0, "the engine worked"
    if engine == "news":
        assert played.error is not None
        assert played.error.result.targets == ("T5",)
        assert played.reasons == ["news T5: HTTP 503: x"], "it is told by name, once it is alone"
    else:
        assert (played.made.cards.done, played.made.cards.failed) == (119, 1)


def test_an_engine_that_flaps_each_second_does_all_its_work_and_nobody_is_told() -> None:
    played = night(lambda asked, now: 503 if asked.engine in {"news", "qa"} and int(now * 2) % 2 else None)
    assert played.exit == 0
    assert played.told == []


def test_of_an_engine_that_is_out_again_and_again_people_are_told_every_ten_minutes_at_most() -> None:
    """QA works for 60 s, and is out for 60."""
    played = night(lambda asked, now: 403 if asked.engine == "qa" and int(now / 60) % 2 else None, tickers=20)
    told = [event for event in played.made.world.events if isinstance(event, EngineFailing)]
    assert played.exit == 0
    assert len(told) <= played.seconds / 600 + 1
    progress = played.made.live.engines["qa"]
    assert progress.outages > len(told), "what nobody is told of counts for the note"
    assert progress.seconds_out > 60


@pytest.mark.parametrize(("engine", "reason"), [("news", ShutdownReason.SIGTERM), ("qa", ShutdownReason.DEADLINE)])
def test_a_stop_ends_the_waiting_at_once_and_records_what_was_asked_for(
    engine: EngineName, reason: ShutdownReason
) -> None:
    played = night(out(503, 0, FOR_GOOD, engine), (200.0, reason), tickers=10)
    assert played.seconds == pytest.approx(200.0, abs=0.1)
    asked = {(one.path, one.tickers) for one in played.made.world.of(engine)}
    cut_off = [event for event in played.made.world.finished if event.engine == engine]
    assert len(cut_off) == len(asked)
    assert {str(event.reason) for event in cut_off} == {"cut off; the try before it failed: HTTP 503: x"}


# --- what an attack has found ---


@pytest.mark.parametrize("engine", ["trading", "news"])
def test_a_data_engine_that_says_failed_for_a_minute_loses_the_night(engine: EngineName) -> None:
    assert night(out("denied", 10, 69, engine)).exit == 0
    played = night(out("denied", 10, 100, engine))
    assert (played.exit, played.outcome) == (1, "data_engine_failed")
    assert played.told == ["EngineFailing"]
    assert "(tried for 1 min)" in str(played.error)


def test_a_hung_call_and_a_short_outage_cost_their_time() -> None:
    def strike(asked: Asked, now: float) -> How:
        hangs = asked.attempt == 1 and asked.tickers == ("T3",) and asked.path.endswith(("/a", "/T3"))
        return "hang" if hangs else 503 if 30 <= now < 45 else None

    assert night(strike, card_types="ab").seconds < 700
    blip = night(strike, card_types="a", engines={"news": {"patience": 200.0, "concurrency": 60}})
    assert blip.exit == 0, "a call that failed began before the outage"


def test_one_poisoned_ticker_of_a_batch_is_found_in_an_outage() -> None:
    def strike(asked: Asked, now: float) -> How:
        return 500 if asked.engine == "trading" and ("T7" in asked.tickers or now < 60) else None

    played = night(strike)
    assert played.exit == 1
    assert played.error is not None
    assert played.error.result.targets == ("T7",)
    assert played.made.counts("trading").done == 59


def test_while_older_calls_still_end_well_people_are_told_that_new_ones_are_refused() -> None:
    """Seven cards begin late, and are refused for 92 s; the nine older ones end meanwhile, one after the other."""

    async def script(asked: Asked) -> Response:
        number, began = int(asked.tickers[0][1:]), trio.current_time()
        await trio.sleep(QUICKLY if 1 <= began < 93 else 10.0 * number if 7 <= number < 16 else 1.0)
        return reply({"detail": "x"}, 503) if 1 <= began < 93 else well(asked)

    made = stage([target(f"T{n}", "a", ()) for n in range(23)], script, {"qa": {"concurrency": 16}})
    trio.run(made.play, clock=MockClock(autojump_threshold=0))
    assert [type(event) for event in made.world.events if not isinstance(event, CallResult | CallRetried)] == [
        EngineFailing,
        EngineRecovered,
    ]
    assert made.cards.done == 23
    assert made.live.engines["qa"].seconds_out == pytest.approx(92, abs=30)


def test_a_token_that_takes_long_puts_no_more_requests_into_a_minute() -> None:
    """The first request leaves when the others that began after it have left."""
    asked_for = 0

    async def token(_audience: str, _rejected: str | None) -> str:
        nonlocal asked_for
        asked_for += 1
        await trio.sleep(40.0 if asked_for == 1 else 0.0)
        return "token"

    targets = [target(f"T{number}", "a", ()) for number in range(20)]
    made = stage(targets, striking(lambda *_: None), {"qa": {"per_minute": 6, "concurrency": 16}})
    made.world.token = token
    trio.run(made.play, clock=MockClock(autojump_threshold=0))
    begun = [asked.time for asked in made.world.asked]
    assert made.cards.done == 20
    assert all(begun[n + 6] - begun[n] >= 60 for n in range(len(begun) - 6))


@pytest.mark.parametrize(("engine", "least", "most"), [("trading", 60, 62), ("qa", 86, 140)])
def test_a_token_server_that_gives_no_token_ends_the_night_after_a_minute(
    engine: EngineName, least: float, most: float
) -> None:
    async def token(audience: str, _rejected: str | None) -> str:
        await trio.lowlevel.checkpoint()
        if engine in audience:
            raise TokenError(message("no token"), is_answer=True)
        return "token"

    played = night(lambda _asked, _now: None, tickers=5, token=token)
    assert played.outcome == ("qa_engine_down" if engine == "qa" else "data_engine_failed")
    assert least <= played.seconds <= most

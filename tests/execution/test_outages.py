"""An outage that is shorter than an engine's patience costs time, and nothing else; a longer one ends as it should.

The nights are played with the defaults: 60 tickers and 300 cards take some 375 s untouched, 16 at a time.
"""

from collections import Counter

import pytest

from job.engines.calls import ALL_ENGINES, TARGET_ENGINES, EngineName
from job.execution.progress import EngineFailing, EngineRecovered
from tests.support.fakes import PATIENCE, target
from tests.support.nights import FOR_GOOD, SECONDS, How, Strike, any_of, cards, crowded, data_of, night, out

SHORT: dict[str, tuple[Strike, int]] = {
    "500 for 540 s, one at a time": (out(500, 30, 570, "qa"), 1),
    "500 for 540 s, 64 at a time": (out(500, 30, 570, "qa"), 64),
    "503 for 540 s, 4 at a time": (out(503, 30, 570, "qa"), 4),
    "answers lost for 300 s, one at a time": (out("lost", 100, 400, "qa"), 1),
    "a hang of 200 s, 64 at a time": (out("hang", 30, 230, "qa"), 64),
    "401 for 300 s": (out(401, 100, 400, "qa"), 16),
    "429 for 540 s, one at a time": (out(429, 30, 570, "qa"), 1),
    "answers of something else for 300 s": (out("html", 100, 400, "qa"), 64),
    "three outages, 4 at a time": (any_of(*(out("lost", at, at + 400, "qa") for at in (30, 500, 970))), 4),
    "another one as the first ends": (any_of(out(500, 30, 300, "qa"), out(429, 330, 700, "qa")), 16),
    "as the first phase ends": (out(500, 340, 640, "qa"), 16),
    "in part, 64 at a time": (out(500, 30, 60, "qa", share=0.5), 64),
    "in part, then in whole": (any_of(out(502, 30, 200, "qa", share=0.5), out(502, 200, 500, "qa")), 16),
    "in part by 429, after a hang": (any_of(out("hang", 5, 455, "qa"), crowded(429, lambda _: 3)), 8),
}
"""What befalls a night, and how many calls may be in flight."""


@pytest.mark.parametrize("name", SHORT)
def test_an_outage_that_is_shorter_than_the_patience_costs_time_and_nothing_else(name: str) -> None:
    strike, at_a_time = SHORT[name]
    played = night(strike, targets=cards(60 if at_a_time > 1 else 20), concurrency=at_a_time)
    assert (played.exit, played.outcome) == (0, "succeeded")
    outages = 3 if "three" in name else 2 if "another" in name else 1
    if "in part" not in name:
        assert played.wasted() <= outages * (1.5 * at_a_time + 33) + (at_a_time if "429" in name else 0)
        assert max(played.tries.values()) <= 2 + outages
        last_tries = PATIENCE if name == "as the first phase ends" else 0.0
        assert played.seconds <= 20 * played.made.cards.planned / at_a_time + outages * 540 + 200 + last_tries


DATA: dict[str, Strike] = {
    "failed for 400 s, news": out("denied", 10, 410, "news"),
    "answers lost for 300 s, trading": out("lost", 10, 310, "trading"),
    "no right for the first 7 min": out(403, 0, 420),
    "429 for 400 s, financial": out(429, 10, 410, "financial"),
    "a hang of 200 s, news": out("hang", 10, 210, "news"),
    "news and QA over the barrier": out(503, 60, 200, "news", "qa"),
    "three of all": any_of(*(out(500, at, at + 560) for at in (10, 690, 1_370))),
    **{
        f"{times} of news, {how}": any_of(*(out(how, 10 + 680 * n, 570 + 680 * n, "news") for n in range(times)))
        for how, times in ((500, 2), ("lost", 3))
    },
}


@pytest.mark.parametrize("name", DATA)
def test_neither_does_one_of_a_data_engine(name: str) -> None:
    count = 120 if "of news" in name else 30
    played = night(DATA[name], targets=[target(f"T{number}", "a") for number in range(count)])
    assert (played.exit, played.outcome) == (0, "succeeded"), played.error
    assert "of news" in name or max(map(played.wasted, ALL_ENGINES)) <= 3 * (16 + 33)


LONG: dict[str, tuple[EngineName, How, int]] = {
    "503, trading": ("trading", 503, 0),
    "a hang, news": ("news", "hang", 0),
    "no right, financial": ("financial", 403, 0),
    "failed, news": ("news", "denied", 0),
    "500, one at a time": ("qa", 500, 1),
    "503, 4 at a time": ("qa", 503, 4),
    "answers lost, 64 at a time": ("qa", "lost", 64),
    "a hang": ("qa", "hang", 16),
    "429, one at a time": ("qa", 429, 1),
}


@pytest.mark.parametrize("name", LONG)
def test_an_outage_that_is_longer_ends_once_the_patience_is_over(name: str) -> None:
    engine, how, at_a_time = LONG[name]
    targets = cards(100) if engine == "qa" else data_of(60, *TARGET_ENGINES)
    begin = 60.0 if engine == "qa" else 0.0
    played = night(out(how, begin, FOR_GOOD, engine), targets=targets, concurrency=at_a_time or 16)
    limit = at_a_time or {"news": 8}.get(engine, 4)
    assert played.outcome == ("qa_engine_down" if engine == "qa" else "data_engine_failed")
    assert begin + PATIENCE <= played.seconds <= begin + PATIENCE + (1_300 if how == "hang" else 500)
    assert played.wasted(engine) <= 1.5 * limit + (
        PATIENCE / 30 + 12 if how in {500, "lost", "hang"} else PATIENCE / 15
    )
    assert max(played.tries.values(), default=1) == 1, "what failed once stays failed: others come first"
    assert {type(event) for event in played.told} == {EngineFailing}
    if how != "hang":
        assert not any(asked.cut_off for asked in played.made.world.of("qa")), "what is in flight is awaited"
    if played.error is not None:
        assert (played.error.result.tried_seconds or 0.0) >= PATIENCE


@pytest.mark.parametrize(("how", "at_a_time"), [(500, 1), (503, 8), (409, 1), (409, 4), (409, 16)])
def test_one_bad_ticker_fails_alone_after_its_patience(how: int, at_a_time: int) -> None:
    strike: Strike = lambda asked, _: how if "T5" in asked.tickers else None  # noqa: E731
    played = night(strike, targets=data_of(60, "news"), engines={"news": {"concurrency": at_a_time}})
    assert played.error is not None
    assert played.error.result.targets == ("T5",)
    assert played.made.counts("news").done == 59
    assert played.seconds <= 60 * SECONDS["news"] / at_a_time + PATIENCE + 60, "a 409 is no call done"
    assert max(Counter(asked.tickers for asked in played.made.world.asked).values()) <= PATIENCE / 12
    assert [event for event in played.told if at_a_time > 1] == [], "retries alone say nothing of the engine"


# --- what people are told ---


TOLD: dict[str, tuple[How, float, float, list[float]]] = {
    "not worth a word": (403, 20.0, 4.0, []),
    "short": (403, 20.0, 30.0, [5.0]),
    "two minutes": (503, 20.0, 120.0, [5.0]),
    "a hang of two minutes": ("hang", 20.0, 120.0, []),
    "six minutes": (503, 20.0, 360.0, [5.0, 300.0]),
    "eleven minutes": (500, 20.0, 660.0, [5.0, 300.0, 600.0]),
    "a hang of eleven minutes, whose tries take five": ("hang", 20.0, 660.0, [300.0, 600.0]),
}
"""How it fails, from when, for how long, and after how many seconds since its first failure people are told."""


@pytest.mark.parametrize("name", TOLD)
def test_an_outage_is_told_at_once_and_every_five_minutes_and_its_end_with_its_length(name: str) -> None:
    how, begin, seconds, told = TOLD[name]
    played = night(out(how, begin, begin + seconds, "qa"), targets=cards(60))
    failing = [event for event in played.told if isinstance(event, EngineFailing)]
    assert [event.seconds for event in failing] == pytest.approx(told, abs=6)
    assert all(event.since == pytest.approx(failing[0].since) for event in failing)
    recovered = [event for event in played.told if isinstance(event, EngineRecovered)]
    assert len(recovered) == bool(told)
    if how == 403 and recovered:
        assert str(failing[0].reason) == "HTTP 403: x"
        assert recovered[0].seconds == pytest.approx(seconds, abs=32)
    if how == "hang" and told:
        assert str(failing[-1].reason) == "no answer within 300 s"


@pytest.mark.parametrize(("how", "after"), [(500, 60.0), (503, 60.0), ("lost", 90.0), ("hang", 400.0)])
def test_an_outage_of_the_last_cards_is_told_within_a_minute_of_what_shows_it(how: How, after: float) -> None:
    """A hang is known only once a try has timed out."""
    played = night(out(how, 350.0, FOR_GOOD, "qa"), targets=cards(60))
    first = next(event for event in played.told if isinstance(event, EngineFailing))
    assert first.since + first.seconds <= 350.0 + after


@pytest.mark.parametrize("name", LONG)
def test_by_when_a_start_ends_if_the_engine_stays_out_is_a_bound_and_near(name: str) -> None:
    engine, how, at_a_time = LONG[name]
    targets = cards(60) if engine == "qa" else data_of(60, *TARGET_ENGINES)
    played = night(
        out(how, 60.0 if engine == "qa" else 0.0, FOR_GOOD, engine), targets=targets, concurrency=at_a_time or 16
    )
    failing = [event for event in played.told if isinstance(event, EngineFailing)]
    assert all(played.seconds <= event.fails_by <= played.seconds + 900 for event in failing), [
        (event.seconds, event.fails_by - played.seconds) for event in failing
    ]
    charged = sum(one.charged_tries for one in played.made.world.finished if one.engine == engine)
    assert charged - 16 <= failing[-1].charged_tries <= charged, "those since then may have been charged too"


def test_each_outage_is_told_anew() -> None:
    played = night(any_of(out(503, 20.0, 60.0, "qa"), out(503, 200.0, 240.0, "qa")), targets=cards(60))
    assert [type(event) for event in played.told] == [EngineFailing, EngineRecovered] * 2
    assert [event.seconds for event in played.told[::2]] == pytest.approx([5.0, 5.0], abs=6)


@pytest.mark.parametrize(("begin", "least"), [(0.0, 8), (100.0, 15)])
def test_after_an_outage_half_of_the_calls_begin_at_once_or_as_many_as_before(begin: float, least: int) -> None:
    asked = night(out(503, begin, begin + 60.0, "qa"), targets=cards(40), concurrency=16).made.world.asked
    done = min(one.ended or 0.0 for one in asked if one.how is None and one.time > begin)
    assert sum(one.time == done for one in asked) >= least

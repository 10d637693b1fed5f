"""A forecast says how good it is, and says nothing where past nights tell nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from job.rehearsal.forecast import Effort, Forecast, Foretold, fitting, foretell, unknowable
from job.rehearsal.stand_in import Outage
from job.rehearsal.words import Tonight, forecast_lines
from tests.rehearsal.recorded import known, night, scenario

if TYPE_CHECKING:
    from job.rehearsal.play import Scenario
    from job.rehearsal.recorded import RecordedNight

EFFORT = Effort(nights=1, backtested=3, plays=2)
PACES = [1.0, 1.1, 0.9, 1.05, 0.95, 1.0]


def nights(paces: list[float], count: int = 30) -> list[RecordedNight]:
    """Nights whose engines take so many times as long, the newest first."""
    return [
        known(night(count, seed=number, pace=pace), day=f"2026-11-{24 - number}") for number, pace in enumerate(paces)
    ]


def test_tonight_takes_as_long_as_past_nights_with_engines_like_theirs() -> None:
    past = nights(PACES)
    took = sorted(one.seconds or 0.0 for one in past)
    found = foretell(scenario(night(30)), past, replace(EFFORT, nights=12))
    assert found.nights == 6
    assert len(found.ends) == 12
    assert took[0] * 0.9 < found.ends[0] < found.ends[-1] < took[-1] * 1.1
    assert found.ends[-1] - found.ends[0] > 0.5 * (took[-1] - took[0])  # good and bad nights are not mixed to one
    assert found.usual == pytest.approx(took[3], rel=0.1)


def test_twice_as_many_cards_take_about_twice_as_long() -> None:
    past = nights(PACES)
    more = scenario(night(60))
    effort = replace(EFFORT, nights=6)
    once, twice = foretell(scenario(night(30)), past, effort), foretell(more, fitting(more, past), effort)
    assert 1.7 < twice.ends[3] / once.ends[3] < 2.1


def test_the_backtest_foretells_each_night_from_those_before_it() -> None:
    past = nights(PACES)
    found = foretell(scenario(night(30)), past, EFFORT)
    assert [one.day for one in found.backtest] == ["2026-11-24", "2026-11-23", "2026-11-22"]
    assert [one.actual for one in found.backtest] == [one.seconds for one in past[:3]]
    assert 0 < (found.error or 0) < 0.2


def test_no_night_is_foretold_from_itself_or_a_later_one() -> None:
    past = nights([2.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    newest, *others = foretell(scenario(night(30)), past, EFFORT).backtest
    assert newest.error == pytest.approx(0.5, abs=0.07)
    assert all(one.error < 0.15 for one in others)


def test_a_night_that_was_not_played_to_its_end_is_not_foretold() -> None:
    past = nights(PACES)
    past[0] = replace(past[0], seconds=None)
    assert foretell(scenario(night(30)), past, EFFORT).backtest[0].day == "2026-11-23"


def test_a_large_plan_is_sampled_and_the_backtest_too() -> None:
    past = nights([1.0] * 6, count=100)
    found = foretell(scenario(night(100)), past, Effort(nights=2, backtested=2, plays=1), most_calls=1000)
    assert found.every == 2
    assert sum(sum(one.requests.values()) for one in found.played) < 500
    assert found.usual == pytest.approx(past[0].seconds, rel=0.12)


@pytest.mark.parametrize(("most_calls", "played", "every"), [(5_000, 22, 1), (3_000, 10, 1), (2_000, 10, 2)])
def test_fewer_nights_are_played_before_a_sample_is(most_calls: int, played: int, every: int) -> None:
    """Each night has 132 calls; 50 are to be played, and 15 for the backtest."""
    found = foretell(scenario(night(30)), nights(PACES), Effort(50, backtested=5, plays=3), most_calls)
    assert (len(found.played), found.every) == (played, every)


@pytest.mark.parametrize(
    ("error", "usual"), [(None, None), (0.29, 1000.0), (0.31, None)], ids=["no backtest", "good", "bad"]
)
def test_a_forecast_is_used_only_if_the_backtest_supports_it(error: float | None, usual: float | None) -> None:
    played = foretell(scenario(night(30)), nights([1.0]), EFFORT).played
    one = replace(played[0], ended=1000.0)
    backtest = [] if error is None else [Foretold("2026-11-24", 1000.0 * (1 + error), 1000.0)]
    assert Forecast([one], 1, 1, backtest).usual == usual


def test_four_nights_are_too_few() -> None:
    tonight, past = scenario(night(30)), nights([1.0] * 5)
    assert unknowable(tonight, past) is None
    assert "4 nights of this config are recorded, 5 are needed" in str(unknowable(tonight, past[1:]))


UNKNOWN: dict[str, tuple[Scenario, str | None]] = {
    "as always": (scenario(night(30)), None),
    "a concurrency that no night had": (
        scenario(night(30), QA_ENGINE_CONCURRENCY="32"),
        "0 had QA_ENGINE_CONCURRENCY=32",
    ),
    "a lower one": (scenario(night(30), NEWS_ENGINE_CONCURRENCY="4"), "0 had NEWS_ENGINE_CONCURRENCY=4"),
    "another batch size": (
        scenario(night(30, batch=10)),
        "0 had FINANCIAL_ENGINE_CONCURRENCY=4, FINANCIAL_ENGINE_BATCH_SIZE=10",
    ),
    "ten times as many cards": (scenario(night(300)), None),
}


@pytest.mark.parametrize(("tonight", "why"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_no_night_has_seen_cannot_be_known(tonight: Scenario, why: str | None) -> None:
    past = nights([1.0] * 5)
    problem = unknowable(tonight, past)
    assert (problem is None) == (why is None)
    assert why is None or why in str(problem)
    assert len(fitting(tonight, past)) == (5 if why is None else 0)


def test_more_calls_at_a_time_than_on_any_night_cannot_be_known() -> None:
    """The plans of past nights were too small for the concurrency that they were given."""
    past = nights([1.0] * 5, count=4)  # 12 cards
    assert unknowable(scenario(night(5)), past) is None
    assert "at a time as this plan has" in str(unknowable(scenario(night(8)), past))


def test_a_concurrency_that_makes_no_difference_is_known() -> None:
    past = nights([1.0] * 5, count=15)  # three batches
    assert unknowable(scenario(night(15), TRADING_ENGINE_CONCURRENCY="8"), past) is None
    assert unknowable(scenario(night(15), TRADING_ENGINE_CONCURRENCY="2"), past) is not None


def test_nights_with_other_settings_are_not_drawn_from() -> None:
    past = nights([1.0] * 5)
    other = {**past[0].concurrency, "qa": 32}
    mixed = [replace(past[0], concurrency=other), *past]
    assert fitting(scenario(night(30)), mixed) == past


def test_a_sample_has_no_outage_and_says_so() -> None:
    past, outage = nights([1.0] * 6, count=100), Outage("qa", 0.0, 3000.0)
    tonight = replace(scenario(night(100)), outages=[outage])
    found = foretell(tonight, past, EFFORT, most_calls=1000)
    assert found.every > 1
    assert found.played[0].is_complete
    lines = [str(line) for line in forecast_lines(found, Tonight(past[0].started, None, outages=[outage]))]
    assert "Left out: the outage, since only a sample was rehearsed." in lines
    assert not any("answers every call with 503" in line for line in lines)
    assert f"Card requests that are paid for: {found.played[0].paid * found.every}." in lines


def test_what_is_too_unsure_is_not_to_be_relied_on() -> None:
    past = nights([3.0, 1.0, 3.0, 1.0, 3.0, 1.0])
    found = foretell(scenario(night(30)), past, EFFORT)
    assert found.usual is None
    lines = [str(line) for line in forecast_lines(found, Tonight(past[0].started, None, unread=2))]
    assert "An error of more than 30% is too much: do not rely on this forecast." in lines
    assert "Left out: 2 older nights were not read." in lines


def test_nights_that_never_got_to_a_card_tell_nothing_about_cards() -> None:
    """Such a night may be the only one before another: that one is not predicted then."""
    past = nights([1.0] * 6)
    courses = {kind: found for kind, found in past[-1].courses.items() if kind[0] != "qa"}
    past[-1] = replace(past[-1], courses=courses, seconds=None)
    tonight = scenario(night(30))
    assert fitting(tonight, past) == past
    assert fitting(tonight, past[-1:]) == []
    effort = replace(EFFORT, nights=6, backtested=10)
    assert [one.day for one in foretell(tonight, past, effort).backtest] == [one.day for one in past[:4]]

"""Which night a start is for: scenes around the ticks of a schedule. Virtual time begins at one, Tuesday's at 22:30."""

from collections import Counter

import pytest

from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.job import Outcome
from tests.simulators.service import Fault
from tests.support.scene import CLOUD, CONFIG, DAY, LEASE, OTHER, Scene

WEDNESDAY, THURSDAY, FRIDAY, SATURDAY, MONDAY = (f"2026-11-{day}" for day in (25, 26, 27, 28, 30))
TUESDAY, SUNDAY = DAY, "2026-11-29"
EVENING = {"RUN_SCHEDULE": "30 22 * * 1-5"}
MORNING = {"RUN_SCHEDULE": "30 6 * * 1-5"}


def made(scene: Scene) -> Counter[str]:
    """How many cards were requested of each day."""
    days = (dict(one.query)["date_str"] for one in scene.world.qa.requests if one.tickers[0] != "美联储")
    return Counter(days)


# --- around a tick ---


async def test_a_start_that_waits_past_the_next_tick_is_for_the_night_it_was_started_for(scene: Scene) -> None:
    await scene.until(WEDNESDAY, "22:19:00")
    scene.world.news.latency = steady(700.0)
    first = await scene.begin(NEWS_ENGINE_TIMEOUT="1000")
    await scene.world.news.until(bool)
    second = await scene.begin(**OTHER)
    await scene.until(WEDNESDAY, "22:30:00")
    third = await scene.begin(NEWS_ENGINE_TIMEOUT="1000", **CLOUD)
    ended = [await scene.end(job, 0) for job in (first, second, third)]
    assert [outcome.finished["day"] for outcome in ended] == [TUESDAY, TUESDAY, WEDNESDAY]
    assert made(scene) == {TUESDAY: 4, WEDNESDAY: 4}


# --- who is told ---


def told(scene: Scene) -> list[list[str]]:
    return [text.splitlines() for text in scene.world.chat.texts]


async def test_who_presses_is_told_that_everything_is_there_and_when_the_next_night_begins(scene: Scene) -> None:
    env = {**scene.world.chat.env(), "NOTIFY_ONLY": "failures", **EVENING}
    await scene.until(FRIDAY, "22:30:00")
    await scene.start(0, **env)
    await scene.start(0, **env)  # the tick, delivered twice
    before = len(told(scene))
    await scene.until(SATURDAY, "08:30:00")
    await scene.start(0, **env)
    (message,) = told(scene)[before:]
    assert message[:5] == [
        f"✓ batch-orchestrator, {FRIDAY}",
        "Done.",
        "5 of 5 cards made; nothing was called.",
        f"{FRIDAY} has been done since 22:30 UTC",
        "Next night: Mon 11-30 22:30",
    ]
    assert message[-1] == "As of 2026-11-28 08:30 UTC", "it was done before"


async def test_of_many_nights_the_failures_are_told_and_the_first_success_after_one(scene: Scene) -> None:
    env = {**scene.world.chat.env(), "NOTIFY_ONLY": "failures"}
    await scene.start(0, **env)
    scene.world.qa.script.append(Fault(when.ticker("AAPL"), do.status(422)))
    for day in (WEDNESDAY, THURSDAY):
        await scene.until(day, "22:30:00")
        await scene.start(3, **env)
    scene.world.qa.script.clear()
    await scene.until(FRIDAY, "22:30:00")
    await scene.start(0, **env)
    await scene.until(SATURDAY, "22:30:00")
    job = await scene.begin(**env)
    await scene.cards_in_flight(len(scene.world.qa.requests) + 1)
    await scene.killed(job)
    await scene.start(0, **env)
    await scene.until(SUNDAY, "22:30:00")
    await scene.start(0, **env)
    await scene.until(MONDAY, "22:30:00")
    await scene.world.configure("card_types.json", b"[")
    await scene.start(2, **env)
    await scene.world.configure("card_types.json", CONFIG["card_types.json"])
    await scene.start(0, **env)
    assert [lines[0][0] + lines[0][-2:] for lines in told(scene)] == ["✗25", "✗26", "✓27", "✓28", "✗30", "✓30"]


# --- a day by its date ---


def fault_of(outcome: Outcome) -> str:
    (fault,) = outcome.events("config.faulty")
    message = fault["message"]
    assert isinstance(message, str)
    assert outcome.finished["message"] == "The command was refused: nothing was called"
    assert "start_command" not in outcome.finished
    return message


async def test_a_day_that_nobody_has_started_wants_a_confirmation(scene: Scene) -> None:
    """The calendar's day before its tick too, which a maintainer may have to make early. A date is a fault beside those
    of variables.
    """
    await scene.until(WEDNESDAY, "18:00:00")
    for day in ("2025-11-24", WEDNESDAY):
        asked = await scene.start(2, "--date", day, **EVENING)
        what = f"nothing is recorded of {day}: this start would make, and pay for, all of it"
        assert fault_of(asked) == f"--date: {what}; add --yes if that is meant"
    later = await scene.start(2, "--date", THURSDAY, **EVENING)
    assert fault_of(later) == f"--date: {THURSDAY} is still to come: today is {WEDNESDAY}; write a day that has begun"
    both = await scene.start(2, "--date", THURSDAY, QA_ENGINE_TIMEOUT="x", **EVENING)
    assert [fault["where"] for fault in both.events("config.faulty")] == ["QA_ENGINE_TIMEOUT", "--date"]
    assert "start_command" not in both.finished
    assert (scene.requests, scene.names()) == ([], [LEASE])
    await scene.start(0, "--date", WEDNESDAY, "--yes", **EVENING)
    await scene.start(0, "--date", WEDNESDAY, **EVENING)
    await scene.until(WEDNESDAY, "22:30:00")
    await scene.start(0, **EVENING)
    assert made(scene) == {WEDNESDAY: 4}


async def test_nothing_is_made_again_of_a_day_for_which_nothing_was_made(scene: Scene) -> None:
    """At 09:00 of a Wednesday whose night nobody has started."""
    await scene.start(0, **MORNING)
    await scene.until(WEDNESDAY, "09:00:00")
    refused = await scene.start(2, "--again", "AAPL/news_card", **MORNING)
    remedy = "start it without this option, or add the --date that you mean"
    assert fault_of(refused) == f"--again: nothing was made yet for {WEDNESDAY}; {remedy}"
    await scene.start(0, "--again", "AAPL/news_card", f"--date={TUESDAY}", **MORNING)
    assert {name[:10] for name in scene.names("/attempts/")} == {TUESDAY}


@pytest.mark.parametrize("variable", ["RUN_TIME_ZONE", "RUN_SCHEDULE"])
async def test_while_it_is_not_known_which_day_it_is_nothing_is_recorded(scene: Scene, variable: str) -> None:
    outcome = await scene.start(2, **{variable: "every monday of month 09:00"})
    (fault,) = outcome.events("config.faulty")
    assert fault["where"] == variable
    assert (scene.requests, scene.names()) == ([], [])


LAPTOP = {"RUN_SCHEDULE": None, "RUN_TIME_ZONE": None}


async def half_a_night(scene: Scene) -> None:
    """Of Tuesday's night two cards are missing, and it is 03:00 of Wednesday."""
    scene.world.qa.script.append(Fault(when.ticker("AAPL"), do.status(422)))
    await scene.start(3)
    scene.world.qa.script.clear()
    await scene.until(WEDNESDAY, "03:00:00")


@pytest.mark.parametrize("faulty", [{"CONFIG_URI": None}, {"QA_ENGINE_TIMEOUT": "x"}])
async def test_on_a_laptop_a_faulty_variable_leaves_the_night_as_it_is(scene: Scene, faulty: dict[str, None]) -> None:
    await half_a_night(scene)
    before = scene.world.recorded()
    refused = await scene.start(2, **LAPTOP, **faulty)
    assert refused.finished["day"] == TUESDAY
    assert scene.world.recorded().keys() - before == {f"{TUESDAY}/ends/000000.json"}
    assert before.items() <= scene.world.recorded().items()
    assert (await scene.start(0, **LAPTOP)).finished["day"] == TUESDAY


@pytest.mark.parametrize("faulty", [{}, {"QA_ENGINE_TIMEOUT": "x"}])
async def test_on_a_laptop_without_storage_no_night_is_advised(scene: Scene, faulty: dict[str, str]) -> None:
    await half_a_night(scene)
    before = scene.world.recorded()
    scene.fails("folders")
    outcome = await scene.start(2 if faulty else 75, **LAPTOP, **faulty)
    scene.works()
    assert str(outcome.finished["start_command"]).endswith(" -m job run")
    assert outcome.finished.get("start_command_until") is None
    assert scene.world.recorded() == before
    if faulty:
        assert [fault["where"] for fault in outcome.events("config.faulty")] == ["QA_ENGINE_TIMEOUT", "RUNS_URI"]


async def test_a_mistyped_date_beside_another_fault_is_not_recorded(scene: Scene) -> None:
    await scene.start(2, "--date", "2026-10-24", QA_ENGINE_TIMEOUT="x")
    assert scene.names() == []
    await scene.start(2, "--date", "2026-10-24")
    assert scene.requests == []

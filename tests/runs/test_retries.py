"""Cloud Run's retry: of a start that has ended for good it does nothing; with any other it goes on."""

import re
from collections.abc import Awaitable, Callable

import pytest

from job.day.attempt import Outcome
from job.records.past_nights import FINAL
from tests.simulators import do, when
from tests.simulators.job import ROOT
from tests.simulators.service import Fault
from tests.support.scene import ALL, CLOUD, DAY, NEXT_DAY, OTHER, RETRY, Scene

THIRD = CLOUD | {"CLOUD_RUN_TASK_ATTEMPT": "2"}
NEWS = when.card("news_card")
PAGE = (ROOT / "job" / "faults.md").read_text(encoding="utf-8")
ENDS_FOR_GOOD, GOES_ON = (
    set(re.findall(r"`(\w+)`", row)) for row in re.findall(r"^\| (`.+?) \| It (?:calls|goes)", PAGE, re.MULTILINE)
)


# --- which starts are repeated ---


@pytest.mark.parametrize("outcome", [one for one in Outcome if one.exit or one is Outcome.INTERRUPTED])
def test_each_way_to_end_is_in_the_table_of_the_page(outcome: Outcome) -> None:
    assert (outcome in FINAL) is (outcome in ENDS_FOR_GOOD) is (outcome not in GOES_ON)


# --- a start that has ended for good ---


async def ended(scene: Scene, code: int, *arguments: str) -> None:
    """A first try that somebody is told of."""
    await scene.start(code, *arguments, **CLOUD, **scene.world.chat.env())


async def repeats(scene: Scene, code: int, *arguments: str, says: str, **env: str) -> None:
    """A retry does nothing but end with this code and such a line."""
    before = len(scene.requests), scene.world.chat.texts[:], scene.world.recorded()
    outcome = await scene.start(code, *arguments, **{**RETRY, **scene.world.chat.env(), **env})
    (line,) = outcome.lines
    assert (line["event"], line["message"], line["day"]) == ("run.finished", says, DAY)
    assert (len(scene.requests), scene.world.chat.texts, scene.world.recorded()) == before


NEWS_CARDS = "2 of 5 cards made; 3 missing: /news_card: AAPL, BRK.B, 美联储"
MISSING = f"3 cards are missing: {NEWS_CARDS}; nothing was called"


@pytest.fixture
async def missing(scene: Scene) -> Scene:
    """Three cards were refused, and would not be any more."""
    scene.world.qa.script.append(Fault(NEWS, do.status(422)))
    await ended(scene, 3)
    scene.world.qa.script.clear()
    return scene


async def test_it_is_seen_before_the_config_is_read(missing: Scene) -> None:
    await missing.world.configure("card_types.json", b'["news_card" "price')
    await repeats(missing, 3, says=MISSING)


async def test_it_is_seen_before_the_lease_is_waited_for(missing: Scene) -> None:
    other = await missing.begin(**OTHER)
    await missing.cards_in_flight()
    asked = len(missing.requests)
    outcome = await missing.start(3, **RETRY)
    assert outcome.finished["message"].startswith(MISSING)
    assert len(missing.requests) == asked, "which is to end a second later"
    await missing.end(other, 0)


async def test_once_another_start_has_finished_the_day_it_ends_with_0(missing: Scene) -> None:
    await missing.start(0, **OTHER)
    await repeats(missing, 0, says="Done: 5 of 5 cards made; nothing was called")


async def test_another_start_that_has_not_finished_the_day_changes_nothing(missing: Scene) -> None:
    missing.world.trading.script.append(Fault(when.always, do.status(422)))
    missing.world.qa.script.append(Fault(NEWS, do.status(422)))
    await missing.start(3, **OTHER)
    await repeats(missing, 3, says=MISSING)


async def test_a_day_that_was_finished_and_of_which_a_card_is_asked_for_again_is_not_done(missing: Scene) -> None:
    await missing.start(0, **OTHER)
    job = await missing.begin("--again", "AAPL/news_card")
    await missing.cards_in_flight(len(missing.world.qa.requests) + 1)
    await missing.killed(job)
    await repeats(missing, 3, says=MISSING)


async def test_what_a_first_try_has_made_again_is_not_made_again_by_its_retry(scene: Scene) -> None:
    await scene.start(0)
    scene.world.qa.script.append(Fault(NEWS, do.status(422)))
    await ended(scene, 3, "--again", "AAPL/news_card")
    again = "1 card is missing: 4 of 5 cards made; 1 missing: AAPL/news_card; nothing was called"
    await repeats(scene, 3, "--again", "AAPL/news_card", says=again)


async def test_a_try_after_one_that_was_killed_is_seen_by_the_third(scene: Scene) -> None:
    scene.world.qa.script.append(Fault(NEWS, do.status(422)))
    job = await scene.begin(**CLOUD)
    await scene.cards_in_flight()
    await scene.killed(job)
    await scene.start(3, **RETRY, **scene.world.chat.env())
    await repeats(scene, 3, says=MISSING, **THIRD)


async def test_a_day_that_cannot_be_read_hides_no_end_of_the_one_before(missing: Scene) -> None:
    await missing.until("2026-11-25", "22:25:00")
    missing.world.runs.create(foreign := "2026-11-25/ends/last.json", b"{}")
    await repeats(missing, 3, says=MISSING)
    missing.world.runs.objects.pop(foreign)


# --- a config that is refused again ---


@pytest.fixture
async def refused(scene: Scene) -> Scene:
    await scene.world.configure("card_types.json", b'["news_card" "price')
    await ended(scene, 2)
    return scene


async def test_a_retry_that_is_refused_is_silent(refused: Scene) -> None:
    """Whoever starts it anew is told."""
    chat = refused.world.chat
    first = await refused.start(2, **RETRY, **chat.env())
    assert first.finished["outcome"] == "bad_config"
    assert len(chat.texts) == 1
    await refused.start(2, **OTHER, **chat.env())
    assert len(chat.texts) == 2


async def test_a_retry_that_is_refused_leaves_the_page_of_its_day(missing: Scene) -> None:
    chat = missing.world.chat
    await missing.world.configure("card_types.json", b'["news_card" "price')
    await missing.start(2, **OTHER, **chat.env())
    assert len(chat.texts) == 2
    await missing.start(2, **(OTHER | {"CLOUD_RUN_TASK_ATTEMPT": "1"}), **chat.env())
    assert len(chat.texts) == 2
    assert missing.stored(f"{DAY}/report.json")["outcome"] == "cards_missing"


async def test_a_night_between_two_uploads_is_made_by_its_retry(refused: Scene) -> None:
    chat = refused.world.chat
    await refused.world.configure("card_types.json", ["news_card", "price_card"])
    await refused.start(0, **RETRY, **chat.env())
    assert [text[0] for text in chat.texts] == ["✗", "✓"]


# --- any other ---


async def past_its_deadline(scene: Scene) -> None:
    scene.world.qa.script.append(Fault(when.nth(1), do.hang()))
    chat = scene.world.chat
    await scene.start(4, RUN_DEADLINE_SECONDS="60", **CLOUD, **chat.env(), TASK_MAX_RETRIES="1", CLOUD_RUN_JOB="cards")
    assert "It goes on by itself: wait until 22:4" in chat.texts[-1]


async def test_of_an_end_for_good_no_retry_is_announced(scene: Scene) -> None:
    scene.world.qa.script.append(Fault(NEWS, do.status(422)))
    await scene.start(3, **CLOUD, **scene.world.chat.env(), TASK_MAX_RETRIES="1")
    assert "Cloud Run" not in scene.world.chat.texts[-1]


async def without_a_written_end(scene: Scene) -> None:
    scene.world.qa.script.append(Fault(when.nth(1), do.status(422)))
    scene.fails("create", "/ends/")
    chat = scene.world.chat
    await scene.start(3, **CLOUD, **chat.env(), TASK_MAX_RETRIES="1", CLOUD_RUN_JOB="cards")
    assert "It goes on by itself: wait until 22:4" in chat.texts[-1]
    scene.works()


Play = Callable[[Scene], Awaitable[None]]


@pytest.mark.parametrize("play", [past_its_deadline, without_a_written_end])
async def test_with_any_other_end_the_retry_goes_on(scene: Scene, play: Play) -> None:
    await play(scene)
    await scene.start(0, **RETRY)
    assert scene.cards().keys() == {*ALL}


async def test_a_retry_after_the_end_of_its_day_goes_on_with_that_day(scene: Scene) -> None:
    """Of another start's day it makes nothing, whatever that one has begun since."""
    await scene.until(NEXT_DAY, "22:19:50")
    job = await scene.begin(**CLOUD)
    await scene.cards_in_flight()
    await scene.killed(job)
    await scene.until(NEXT_DAY, "22:20:10")
    scene.world.qa.script.append(Fault(NEWS, do.status(422)))
    outcome = await scene.start(3, **RETRY)
    assert (outcome.finished["day"], outcome.finished["cards"]["planned"]) == (DAY, 5)
    assert f"--date={DAY}" in outcome.finished["start_command"]
    scene.world.qa.script.clear()
    assert not scene.names(NEXT_DAY)
    await scene.start(0, **OTHER)
    assert scene.stored(f"{NEXT_DAY}/report.json")["outcome"] == "succeeded"
    assert (await scene.start(3, **THIRD)).finished["day"] == DAY


async def test_another_attempt_that_cannot_be_read_does_not_make_a_retry_begin_the_next_night(scene: Scene) -> None:
    await scene.until(NEXT_DAY, "22:19:50")
    job = await scene.begin(**CLOUD)
    await scene.cards_in_flight()
    await scene.killed(job)
    scene.world.runs.create(altered := f"{DAY}/attempts/000002.json", b"{}")
    await scene.until(NEXT_DAY, "22:20:10")
    outcome = await scene.start(2, **RETRY)
    assert (outcome.finished["day"], scene.names(NEXT_DAY)) == (DAY, [])
    scene.world.runs.objects.pop(altered)


async def test_a_laptop_has_no_execution_that_could_have_ended(scene: Scene) -> None:
    scene.world.qa.script.append(Fault(when.nth(1), do.status(422)))
    await scene.start(3)
    await scene.start(0, CLOUD_RUN_TASK_ATTEMPT="1")

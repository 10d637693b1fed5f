"""What `verify` says in the morning: the day is done, it is not, or it could not look; whole messages."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from tests.runs.mornings import CONFIG, Night
from tests.simulators import do, when
from tests.simulators.service import Fault
from tests.support.scene import open_scene

FRIDAY, SATURDAY, SUNDAY, MONDAY = "2026-11-27", "2026-11-28", "2026-11-29", "2026-11-30"
EXECUTE = "gcloud run jobs execute cards --region=asia-east1 --project=my-project"
EXECUTIONS = "https://console.cloud.google.com/run/jobs/details/asia-east1/cards/executions?project=my-project"


@pytest.fixture
async def friday(autojump_clock: MockClock, nursery: trio.Nursery) -> AsyncIterator[Night]:
    """A Friday at half past ten, with 26 cards."""
    async with open_scene(nursery, CONFIG) as scene:
        night = Night(scene, "en")
        await night.begins(FRIDAY)
        yield night


async def test_of_a_night_that_is_done_nothing_is_sent(friday: Night) -> None:
    await friday.start(0)
    await friday.scene.until(SATURDAY, "07:00:00")
    assert await friday.verify(0) == ""


ONE_MISSING = f"""\
✗ cards, {FRIDAY}: not done by 2026-11-28 07:00 UTC
1 of 26 cards is missing.
✗ QA engine: 1 card failed: TSLA/news_card.
Last answer: HTTP 422: Error: 422 simulated front end
Once what failed is over or put right, this makes what is missing (1 card; until 11-30 22:20); at most 3 tries are \
charged:
{EXECUTE}
Page: RUNS/{FRIDAY}/report.html"""
STILL = f"✗ cards, {FRIDAY}: still as told on 11-28: 1 of 26 cards is missing → RUNS/{FRIDAY}/report.html"


async def test_a_night_that_is_not_done_is_told_whole_once_and_then_in_a_line(friday: Night) -> None:
    """The exit code, and so the mail, stays; and what is asked by its date is told whole."""
    friday.scene.world.qa.script.append(Fault(when.both(when.ticker("TSLA"), when.card("news_card")), do.status(422)))
    await friday.start(3)
    await friday.scene.until(SATURDAY, "07:00:00")
    assert await friday.verify(1) == ONE_MISSING
    for day in (SUNDAY, MONDAY):
        await friday.scene.until(day, "07:00:00")
        assert await friday.verify(1) == STILL
    whole = ONE_MISSING.replace("2026-11-28 07:00", "2026-11-30 07:00")
    assert await friday.verify(1, FRIDAY) == whole


async def test_what_a_person_has_started_since_is_told_whole(friday: Night) -> None:
    """A start of Saturday afternoon that was killed has left no message."""
    world = friday.scene.world
    world.qa.script.append(Fault(when.card("news_card"), do.status(422)))
    await friday.start(3)
    world.qa.script.clear()
    await friday.scene.until(SATURDAY, "15:00:00")
    count = len(world.qa.requests)
    job = await friday.scene.begin(**friday.variables)
    await friday.scene.cards_in_flight(count + 3)
    await friday.scene.killed(job)
    await friday.scene.until(SUNDAY, "07:00:00")
    assert EXECUTE in await friday.verify(1)


async def test_a_night_that_never_began_leads_to_the_page_of_the_nights(friday: Night) -> None:
    await friday.scene.until(SUNDAY, "07:00:00")
    nothing = f"No start of {FRIDAY} is recorded. Is the schedule paused? → RUNS/index.html"
    assert await friday.verify(1) == f"✗ cards, {FRIDAY}: still as told on 11-28: {nothing}"


NOT_TO_START = f"""\
! cards, {FRIDAY}
All 26 cards are made.
! Do not start it again: all work is done, but 9 results are not recorded, and a start would request them again. If \
verify and its alert say that this day is not done, ignore that.
Done at 22:30 UTC, after 26 s"""
AT_LEAST = "At least {0} tries may have been charged; {0} made a card."
"""Of cards whose record breaks off it is not known what they have cost."""
BREAKS_OFF = f"""\
✗ cards, {FRIDAY}: not done by 2026-11-28 07:00 UTC
The record breaks off at 22:30 UTC: 9 of 26 cards are not recorded.
The start was killed, or could no longer write; its calls in flight may have been charged too. If the execution says \
memory, an owner raises job.memory_mib.
{AT_LEAST.format(17)}
If a message said that all cards are made, do not paste this.
This makes what is missing (9 cards; until 11-30 22:20); at most 27 tries are charged:
{EXECUTE}"""


async def test_after_a_record_that_breaks_off_the_command_is_for_whoever_has_no_message(friday: Night) -> None:
    """All cards were made and told, while storage was out: they are not missing. Whoever starts it pays again."""
    scene, chat = friday.scene, friday.scene.world.chat
    job = await scene.begin(**friday.variables, NOTIFY_ONLY="failures")
    await scene.cards_in_flight(19)
    scene.fails()
    await scene.end(job, 0)
    assert chat.texts == [NOT_TO_START]
    scene.works()
    await scene.until(SATURDAY, "07:00:00")
    assert await friday.verify(1) == BREAKS_OFF
    await friday.start(0)
    assert chat.texts[-1].splitlines()[2] == AT_LEAST.format(26)


UNCHECKED = f"""\
! cards, {FRIDAY}: could not be checked at 2026-11-28 07:00 UTC: {FRIDAY}/: 503 from the fake
A message that this night sent is right; if none came, open the executions
{EXECUTIONS}"""


async def test_storage_that_is_out_for_two_of_the_four_minutes_changes_nothing(friday: Night) -> None:
    await friday.start(0)
    await friday.scene.until(SATURDAY, "07:00:00")
    friday.scene.world.runs.refuse = lambda _verb, _name: trio.current_time() < began + 120
    began = trio.current_time()
    assert await friday.verify(0) == ""
    assert 120 <= trio.current_time() - began < 130


async def test_storage_that_stays_out_is_no_failure_of_the_night(friday: Night) -> None:
    await friday.start(0)
    await friday.scene.until(SATURDAY, "07:00:00")
    friday.scene.fails(part="/")
    began = trio.current_time()
    assert await friday.verify(1) == UNCHECKED
    assert 235 < trio.current_time() - began < 245
    began = trio.current_time()
    assert await friday.verify(1, RUN_DEADLINE_SECONDS="") == UNCHECKED.replace("07:00", "07:04")
    assert trio.current_time() - began < 5, "each request has a patience of its own"
    friday.scene.works()


async def test_a_record_that_cannot_be_read_is_not_looked_at_again(friday: Night) -> None:
    await friday.start(0)
    stored = friday.scene.world.runs.objects
    name = f"{FRIDAY}/ends/000001.json"
    sound = stored[name]
    stored[name] = replace(sound, data=b"{}")
    await friday.scene.until(SATURDAY, "07:00:00")
    began = trio.current_time()
    end = f"{name} is not as the job wrote it"
    title, *rest = UNCHECKED.splitlines()
    assert (await friday.verify(1)).splitlines() == [title.partition(f"{FRIDAY}/")[0] + end, *rest]
    assert trio.current_time() - began < 5
    stored[name] = sound

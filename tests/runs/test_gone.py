"""A start that finds nothing of its day: the record is gone, the schedule was changed, or a whole night is meant."""

import shutil
from collections.abc import AsyncIterator, Sequence

import pytest
import trio
from trio.testing import MockClock

from tests.runs.mornings import CONFIG, EVENING, MORNING, Night, commands
from tests.simulators import do, when
from tests.simulators.service import Fault
from tests.simulators.storage import emulator_binary
from tests.simulators.world import RUNS_BUCKET, World, open_world
from tests.support.runs import QUICK, SMALL, objects, run
from tests.support.scene import open_scene

TUESDAY, WEDNESDAY = "2026-11-24", "2026-11-25"
DEPLOYED = {"RUN_SCHEDULE": "0 0 * * *", "RUN_TIME_ZONE": "UTC", "LOG_FORMAT": "json"}
RESTORE = "do not start this day: an owner can bring it back, in a bucket for seven days"


# --- the record is gone: real processes ---


@pytest.fixture(params=["folder", pytest.param("bucket", marks=[pytest.mark.slow, pytest.mark.needs("emulator")])])
async def world(nursery: trio.Nursery, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    binary = emulator_binary() if request.param == "bucket" else None
    async with open_world(nursery, SMALL, latency=QUICK, emulator=binary) as opened:
        yield opened


async def remove(world: World, part: str) -> None:
    """Somebody removes what is recorded with this in its name."""
    if world.emulator is None:
        place = world.directory / "runs" / part
        shutil.rmtree(place) if place.is_dir() else place.unlink()
        return
    for name in await world.emulator.names(RUNS_BUCKET, f"runs/{part}"):
        path = f"/storage/v1/b/{RUNS_BUCKET}/o/{name.replace('/', '%2F')}"
        (await world.emulator.client.delete(path)).raise_for_status()


@pytest.mark.parametrize("what", ["", "/attempts/000001.json"])
async def test_a_day_whose_record_is_gone_is_not_paid_for_again(world: World, what: str) -> None:
    """Removed as a whole, or only how it began: nothing is called, and nothing is written over what may come back."""
    day = (await run(world, 0, **DEPLOYED)).finished["day"]
    await remove(world, f"{day}{what}")
    world.forget()
    said = f"{day}{what} is missing; {RESTORE}" if what else f"the record of {day} is gone; {RESTORE}"
    before = {name for name in await objects(world) if name.startswith(str(day))}
    for arguments in ([], [f"--date={day}"], ["--again=all", "--yes"]):
        refused = await run(world, 2, *arguments, **DEPLOYED)
        (fault,) = refused.events("config.faulty")
        assert fault["message"] == f"RUNS_URI: {said}"
        assert "start_command" not in refused.finished
    for arguments in ([], [f"--date={day}"]):
        verified = await world.run_job(("verify", *arguments), env=DEPLOYED)
        assert verified.exit_code == 1
        assert said in str(verified.events("run.verified")[0]["message"])
    assert world.qa.requests == []
    assert {name for name in await objects(world) if name.startswith(str(day))} == before
    if not what:
        await run(world, 0, f"--date={day}", "--yes", **DEPLOYED)
        assert len(world.qa.requests) == 2


# --- the schedule was changed ---


@pytest.fixture
async def night(autojump_clock: MockClock, nursery: trio.Nursery) -> AsyncIterator[Night]:
    """Tuesday's night, at half past ten, lacks one of 26 cards."""
    async with open_scene(nursery, CONFIG) as scene:
        night = Night(scene, "en")
        await night.begins(TUESDAY)
        scene.world.qa.script.append(Fault(when.both(when.ticker("TSLA"), when.card("news_card")), do.status(422)))
        await night.start(3)
        scene.world.qa.script.clear()
        yield night


def pasted(night: Night) -> list[Sequence[str]]:
    """The arguments of the commands of the latest message."""
    return list(commands(night.scene.world.chat.texts[-1]))


async def test_a_late_start_by_another_schedule_offers_both_nights(night: Night) -> None:
    """At noon, the morning's schedule would have it make a whole night, though it was offered for one card."""
    made, night.schedule = len(night.scene.requests), MORNING
    await night.scene.until(WEDNESDAY, "12:00:00")
    refused = await night.start(2)
    (fault,) = refused.events("config.faulty")
    what = f"the schedule was changed since {TUESDAY}: this start would make, and pay for, all of {WEDNESDAY}"
    assert fault["message"] == f"--date: {what}; name the day that is meant"
    assert len(night.scene.requests) == made
    text = night.scene.world.chat.texts[-1]
    assert "(makes 1 card; charges at most 3 tries; at any time; for a maintainer):" in text
    assert "(makes 26 cards; charges at most 78 tries; at any time; for a maintainer):" in text
    left, new = pasted(night)
    assert (left, new) == ([f"--date={TUESDAY}"], [f"--date={WEDNESDAY}", "--yes"])
    await night.start(0, *left)
    assert len(night.scene.requests) == made + 1
    await night.start(2)
    assert pasted(night) == [new], "nothing of Tuesday is left"
    finished = (await night.start(0, *new)).finished
    assert (finished["day"], finished["cards"]["done"]) == (WEDNESDAY, 26)
    await night.start(0)


@pytest.mark.parametrize(
    ("time", "variables", "code"),
    [
        ("06:30:05", {}, 0),
        ("06:45:00", {}, 0),
        ("06:45:01", {}, 2),
        ("06:45:01", {"RUN_SCHEDULE": EVENING}, 0),
        ("22:50:00", {"RUN_SCHEDULE": EVENING}, 0),
        ("22:50:00", {"RUN_SCHEDULE": EVENING, "RUN_TIME_ZONE": "Asia/Shanghai"}, 2),
        ("22:50:00", {"RUN_SCHEDULE": None, "RUN_TIME_ZONE": None, "CLOUD_RUN_JOB": None}, 0),
    ],
)
async def test_a_start_at_its_time_or_by_the_same_schedule_goes_on(
    night: Night, time: str, variables: dict[str, str], code: int
) -> None:
    night.schedule = MORNING
    await night.scene.until(WEDNESDAY, time)
    await night.start(code, **variables)


async def test_what_never_began_is_told_with_its_price_and_its_command_is_not_refused(night: Night) -> None:
    night.schedule = MORNING
    await night.scene.until(WEDNESDAY, "09:00:00")
    text = await night.verify(1)
    assert f"No start of {WEDNESDAY} has begun. Is the schedule paused?" in text
    assert "(makes 26 cards; charges at most 78 tries; at any time; for a maintainer):" in text
    (new,) = pasted(night)
    await night.start(0, *new)
    assert await night.verify(0) == ""


# --- a day that was done before its own time ---


async def test_a_day_that_was_done_before_its_own_time_is_odd_until_it_is_made_anew(night: Night) -> None:
    """In the morning by the morning's schedule; then that is moved to the evening, whose start does nothing."""
    night.schedule = MORNING
    await night.begins(WEDNESDAY)
    await night.start(0)
    night.schedule = EVENING
    await night.scene.until(WEDNESDAY, "22:20:00")
    count = len(night.scene.world.qa.requests)
    await night.start(0, NOTIFY_ONLY="failures")
    assert len(night.scene.world.qa.requests) == count
    title, *lines = night.scene.world.chat.texts[-1].splitlines()
    assert title == f"! cards, {WEDNESDAY}"
    early = (
        "It was done at 06:30 UTC, before its time, 22:30 UTC: by the data of then, since the schedule was another one."
    )
    assert f"! {early}" in lines
    again = "If the data of now is wanted, paste this to make it all again. It cannot be taken back"
    assert f"{again} (makes 26 cards; charges at most 78 tries; at any time; for a maintainer):" in lines
    page = night.scene.world.recorded()["index.html"].decode()
    assert early in page
    (anew,) = pasted(night)
    await night.start(0, *anew)
    assert len(night.scene.world.qa.requests) == count + 26
    await night.start(0)
    assert night.scene.world.chat.texts[-1].startswith("✓ ")


async def test_a_start_ten_minutes_before_the_time_is_not_too_early(night: Night) -> None:
    await night.scene.until(WEDNESDAY, "22:20:00")
    await night.start(0)
    await night.begins(WEDNESDAY)
    await night.start(0)
    assert night.scene.world.chat.texts[-1].startswith("✓ ")

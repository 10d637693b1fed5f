"""A first attempt whose configuration cannot be used leaves a report and a page, and hinders no later attempt."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from tests.simulators import do, when
from tests.simulators.job import Outcome
from tests.simulators.service import Fault
from tests.simulators.world import World, open_world
from tests.support.altered import EAGER_LEASE, FULL_DISK, altered
from tests.support.parsed import Parsed
from tests.support.places import objects
from tests.support.runs import QUICK, SMALL, asked_cards, assert_clean, until
from tests.support.stores import EMULATOR

BROKEN = b'["AAPL",]'


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, SMALL, latency=QUICK) as opened:
        yield opened


async def play(world: World, code: int, *arguments: str, **env: str | None) -> Outcome:
    fixed = {"RUN_ID": None if arguments else "night", "RUNS_URI": world.runs_uri, "RUN_DATE": "2026-11-24"}
    outcome = await world.run_job(arguments or ("run",), env={**fixed, **env})
    assert outcome.exit_code == code, outcome.stdout + outcome.stderr
    if arguments[:1] in {(), ("resume",)}:
        assert_clean(world, outcome)
    return outcome


async def report(world: World) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((await objects(world))["night/report.json"])
    return found


async def assert_recorded(world: World) -> None:
    """Checks the record of a night with two faults."""
    await world.configure("ticker_list.json", BROKEN)
    outcome = await play(world, 2, QA_ENGINE_TIMEOUT="0")
    recorded = await objects(world)
    own = sorted(name for name in recorded if not name.startswith("_started/"))
    assert own == ["index.html", "night/report.html", "night/report.json", "night/summary.json"]
    (entry,) = (name for name in recorded if name.startswith("_started/"))
    assert entry.endswith("Z_night")
    written = json.loads(recorded["night/report.json"])
    parts = ("where", "what", "remedy")
    said = [{name: line[name] for name in parts} for line in outcome.events("config.faulty")]
    assert [{name: fault[name] for name in parts} for fault in written["faults"]] == said
    assert len(written["faults"]) == 2
    assert written["faults_not_listed"] == 0
    assert (written["outcome"], written["exit_code"], written["day"]) == ("bad_config", 2, "2026-11-24")
    assert set(written["cards"].values()) == {0}
    assert written["config_uri"] == world.config_uri
    assert written["sentence"] == outcome.finished["message"] == "The configuration has 2 faults: nothing was called."
    page = Parsed(recorded["night/report.html"].decode())
    assert "The configuration has 2 faults: nothing was called" in page.text
    for fault in written["faults"]:
        assert all(fault[name] in page.text for name in parts)
    assert world.config_uri in page.text
    assert world.seen == [] or all(request.service == "storage" for request in world.seen)


async def test_the_faults_of_a_night_are_in_its_record(world: World) -> None:
    await assert_recorded(world)
    assert " config faulty " in (await play(world, 0, "runs")).stdout
    (verified,) = (await play(world, 1, "verify")).events("run.verified")
    assert "run night: bad_config. The configuration has 2 faults" in verified["message"]
    printed = await play(world, 0, "report")
    assert "✗ QA_ENGINE_TIMEOUT: " in printed.stdout
    assert f"page: {world.runs_uri}/night/report.html" in printed.stdout


@pytest.mark.slow
@pytest.mark.needs("emulator")
async def test_the_faults_of_a_night_are_in_its_bucket(nursery: trio.Nursery) -> None:
    async with open_world(nursery, SMALL, latency=QUICK, emulator=EMULATOR) as world:
        await assert_recorded(world)


@pytest.mark.slow
async def test_a_corrected_run_of_the_same_id_starts_from_the_beginning(world: World) -> None:
    await world.configure("ticker_list.json", BROKEN)
    await play(world, 2)
    await world.configure("ticker_list.json", ["AAPL"])
    await play(world, 0)
    assert asked_cards(world) == {("AAPL", "news_card"): 1}
    written = await report(world)
    assert [attempt["outcome"] for attempt in written["attempts"]] == ["succeeded"]
    assert (written["outcome"], written["faults"]) == ("succeeded", [])
    page = Parsed((await objects(world))["night/report.html"].decode())
    assert "The card is there" in page.text
    assert "The configuration has" not in page.text
    _, line, zone = (await play(world, 0, "runs")).stdout.splitlines()
    assert " succeeded " in line
    assert zone == "all times UTC"


@pytest.mark.slow
async def test_a_record_that_is_there_is_left_as_it_is(world: World) -> None:
    await world.configure("ticker_list.json", BROKEN)
    await play(world, 2)
    before = await objects(world)
    await world.configure("ticker_list.json", b"[")
    await play(world, 2)
    assert await objects(world) == before, "of the first faults"


@pytest.mark.slow
async def test_a_run_that_began_keeps_its_report(world: World) -> None:
    world.qa.script.append(Fault(when.ticker("AAPL"), do.status(422)))
    await play(world, 3)
    before = await objects(world)
    await world.configure("ticker_list.json", BROKEN)
    await play(world, 2, RUN_DATE="2026-11-20")
    await play(world, 2, "resume", "night", "--new-config")
    await play(world, 2, "resume", "night", "--new-config", CONFIG_URI=None)
    assert await objects(world) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "env", [{"RUN_ID": "no/id"}, {"RUNS_URI": "ftp://x"}, {"RUNS_URI": None}], ids=["RUN_ID", "RUNS_URI", "no RUNS_URI"]
)
async def test_faults_of_the_variables_that_name_the_record_leave_no_record(
    world: World, env: dict[str, str | None]
) -> None:
    await world.configure("ticker_list.json", BROKEN)
    await play(world, 2, **env)
    assert await objects(world) == {}


@pytest.mark.slow
async def test_a_full_disk_does_not_change_the_outcome(world: World) -> None:
    await world.configure("ticker_list.json", BROKEN)
    flag = world.directory / "full"
    flag.touch()
    outcome = await play(world, 2, **altered(world.directory, FULL_DISK.format(flag=str(flag))))
    assert outcome.finished["outcome"] == "bad_config"
    (said,) = outcome.events("storage.failed")
    assert "the faults of the configuration are not recorded: " in said["message"]
    assert "No space left on device" in said["message"]


@pytest.mark.slow
async def test_a_disk_that_hangs_delays_the_outcome_by_seconds(world: World) -> None:
    await world.configure("ticker_list.json", BROKEN)
    hangs = "import os, time\nos.fsync = lambda descriptor: time.sleep(300)"
    began = time.monotonic()
    outcome = await play(world, 2, **altered(world.directory, hangs))
    assert time.monotonic() - began < 20
    (said,) = outcome.events("storage.failed")
    assert "not recorded: there was no answer within 3 s" in said["message"]


# --- what cannot be resumed ---


@pytest.mark.slow
@pytest.mark.parametrize("has_faults", [False, True])
async def test_a_run_without_a_record_cannot_be_resumed_and_is_named(world: World, has_faults: bool) -> None:
    if has_faults:
        await world.configure("ticker_list.json", BROKEN)
        await play(world, 2)
    before = await objects(world)
    for arguments in (["resume", "night"], ["resume", "night", "--new-config"]):
        # Other missing variables are not reported.
        outcome = await play(world, 2, *arguments, QA_ENGINE_URL=None, CONFIG_URI=None)
        (fault,) = outcome.events("config.faulty")
        assert fault["where"] == "RUNS_URI"
        what = "has no record of run night from which it could be resumed"
        sentence = "it has no record. Nothing was called."
        if has_faults:
            what = "has nothing of run night but the faults of its config, for which nothing was called"
            sentence = "its config was faulty, so it called nothing. Start a new run."
        assert fault["what"] == what
        assert outcome.finished["message"] == f"Run night cannot be resumed: {sentence}"
    assert await objects(world) == before


@pytest.mark.slow
async def test_a_resume_of_a_run_that_is_at_work_waits_for_its_end(world: World) -> None:
    env = altered(world.directory, EAGER_LEASE)
    world.news.script.append(Fault(when.always, do.hang()))
    job = await world.start_job("run", env={"RUN_ID": "night", "RUNS_URI": world.runs_uri, **env})
    await world.news.until(bool)
    (line,) = (await play(world, 0, "runs")).stdout.splitlines()[1:2]
    assert " at work " in line
    resume = await world.start_job("resume", "night", env={"RUNS_URI": world.runs_uri, **env})
    await until(
        lambda: any(
            "night of" in line.get("message", "") and "following it" in line["message"] for line in resume.lines
        )
    )
    await resume.kill()
    await job.kill()
    (line,) = (await play(world, 0, "runs")).stdout.splitlines()[1:2]
    assert " killed " in line, "the process is known to be gone"
    before = await objects(world)
    await play(world, 2, RUN_DATE="2026-11-20")
    assert await objects(world) == before, "a run that began has no faults of a first attempt"

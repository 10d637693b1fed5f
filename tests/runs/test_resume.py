"""A recorded run is continued as it was begun, or refused; what is recorded can be listed and verified."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trio

from job.report.format import sealed, unsealed
from tests.simulators import do, when
from tests.simulators.job import ROOT, Outcome
from tests.simulators.service import Fault
from tests.simulators.world import World, open_world
from tests.support.places import objects
from tests.support.records import Recorded, write
from tests.support.runs import QUICK, asked_cards, assert_clean

TICKERS = ["AAPL", "BRK.B", "美联储"]
CONFIG: dict[str, object] = {"ticker_list.json": TICKERS, "card_types.json": ["news_card", "price_card"]}
PLANNED = 6


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, CONFIG, latency=QUICK) as opened:
        yield opened


async def play(world: World, code: int, *arguments: str, **env: str | None) -> Outcome:
    outcome = await world.run_job(arguments or ("run",), env={"RUN_ID": "night", "RUNS_URI": world.runs_uri, **env})
    assert outcome.exit_code == code, outcome.stdout + outcome.stderr
    if arguments in {(), ("run",), ("resume", "night")}:
        assert_clean(world, outcome)
    return outcome


async def one_card_missing(world: World) -> None:
    """A run in which all cards but one were made."""
    world.qa.script.append(Fault(when.both(when.ticker("AAPL"), when.card("news_card")), do.status(422)))
    await play(world, 3, RUN_DATE="2026-11-23")
    world.qa.script.clear()


async def test_only_what_is_missing_is_done_and_as_it_was_planned(world: World) -> None:
    """The recorded config counts, not the current one; concurrency, timeouts, attempts and deadline may differ."""
    await one_card_missing(world)
    before = len(world.seen)
    await world.configure("ticker_list.json", ["OTHER"])
    await world.configure("card_types.json", b"not even JSON")
    outcome = await play(
        world,
        0,
        "resume",
        "night",
        RUN_ID=None,
        TRADING_ENGINE_BATCH_SIZE="1",
        QA_ENGINE_CONCURRENCY="3",
        QA_ENGINE_ATTEMPTS="2",
        RUN_DEADLINE_SECONDS="60",
    )
    (card,) = (request for request in world.seen[before:] if request.service in world.engines)
    assert (card.tickers, card.card) == (["AAPL"], "news_card")
    assert dict(card.query)["date_str"] == "2026-11-23"
    assert outcome.finished["cards"] == {
        "planned": PLANNED, "generated": 1, "skipped": PLANNED - 1, "failed": 0, "not_attempted": 0, "left_out": 0,
    }  # fmt: skip


@pytest.mark.slow
async def test_a_complete_run_repeats_no_call(world: World) -> None:
    await play(world, 0)
    before = len(world.seen)
    outcome = await play(world, 0)
    assert world.seen[before:] == []
    assert outcome.finished["cards"]["skipped"] == PLANNED
    assert outcome.finished["outcome"] == "succeeded"


@pytest.mark.slow
async def test_another_date_is_refused_and_the_same_is_not(world: World) -> None:
    await one_card_missing(world)
    before = len(world.seen)
    outcome = await play(world, 2, RUN_DATE="2026-11-22")
    (fault,) = outcome.events("config.faulty")
    assert fault["where"] == "RUN_DATE"
    assert "2026-11-22 is not the date of run night, which is 2026-11-23" in fault["message"]
    assert world.seen[before:] == []
    await play(world, 0, RUN_DATE="2026-11-23")


@pytest.mark.slow
async def test_a_run_without_a_date_is_refused_on_a_later_day_with_the_command_that_starts_a_new_one(
    world: World,
) -> None:
    write(Path(world.runs_uri), Recorded("night", outcome="cards_missing", has_date=False))
    outcome = await play(world, 2, "resume", "night", **world.chat.env("feishu"))
    (fault,) = outcome.events("config.faulty")
    start = "RUN_DATE=2026-11-24 python -m job run"
    # These runs have a RUN_ID, under which a new one could not start.
    remedy = f"unset RUN_ID; then `{start}` starts a new run for 2026-11-24"
    assert (fault["where"], fault["remedy"]) == ("RUN_DATE", remedy)
    (text,) = world.chat.texts
    assert text.startswith("✗ batch-orchestrator, 2026-11-24\n"), "the day of the run, not that of the resume"
    assert text.splitlines()[-2] == start
    assert "job resume" not in text


@pytest.mark.slow
async def test_a_resume_keeps_the_date_if_the_deployment_says_today(world: World) -> None:
    await one_card_missing(world)
    await play(world, 0, "resume", "night", RUN_DATE="today")
    assert {dict(request.query)["date_str"] for request in world.qa.requests} == {"2026-11-23"}


@pytest.mark.slow
async def test_a_run_without_a_record_cannot_be_resumed(world: World) -> None:
    for env, words in (
        ({}, "has no record of run other"),
        ({"RUNS_URI": None}, "is not set; set it to where the run is recorded"),
    ):
        outcome = await play(world, 2, "resume", "other", **env)
        (fault,) = outcome.events("config.faulty")
        assert fault["where"] == "RUNS_URI"
        assert words in fault["message"]
    assert world.seen == []


def resealed(**changes: object) -> Callable[[bytes], bytes]:
    return lambda data: sealed(unsealed("", data) | changes)


TAMPERED: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "format": ("inputs.json", resealed(format=2), "has format 2; this version of the job knows 1"),
    "config": ("inputs.json", lambda data: data.replace(b"BRK.B", b"BRK.A"), "was changed after it was written"),
    "barrier": ("barrier-*.json", lambda _data: b"{}", "is not what a run writes"),
    "result": ("results/", lambda data: data.replace(b"AAPL", b"MSFT"), "was changed after it was written"),
    "run": ("inputs.json", resealed(run_id="other"), "belongs to run other"),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", [*TAMPERED, "results gone", "cards gone"])
async def test_a_record_that_was_tampered_with_is_refused(world: World, how: str) -> None:
    await one_card_missing(world)
    record = world.directory / "runs" / "night"
    if how == "results gone":
        shutil.rmtree(record / "results")
        words = "-000000.jsonl is missing, but the report counts its results; restore it or remove that record"
    elif how == "cards gone":
        *_, cards = sorted((record / "results").iterdir())
        cards.unlink()
        words = f"night/results/{cards.name} is missing, but the report counts its results; restore it or "
    else:
        name, tamper, words = TAMPERED[how]
        path = next((record / name).iterdir()) if name.endswith("/") else next(record.glob(name))
        path.write_bytes(tamper(path.read_bytes()))
    before = len(world.seen)
    outcome = await play(world, 2)
    (fault,) = outcome.events("config.faulty")
    assert fault["where"] == "RUNS_URI"
    assert words in fault["message"]
    assert "night/" in fault["message"]
    assert world.seen[before:] == []
    assert "resuming run" not in outcome.stdout
    assert not (world.directory / "runs" / "_lease.json").exists()


@pytest.mark.slow
async def test_runs_are_listed_and_verified(world: World) -> None:
    verified = await play(world, 1, "verify")
    assert verified.events("run.verified")[0]["message"].startswith("no run of 20")
    world.qa.script.append(Fault(when.card("news_card"), do.status(422)))
    await play(world, 3, RUN_ID="first")
    verified = await play(world, 1, "verify")
    assert "run first: cards_missing. " in verified.events("run.verified")[0]["message"]
    world.qa.script.clear()
    await play(world, 0, RUN_ID="second", RUN_DATE="2026-01-01")
    await play(world, 1, "verify")
    await play(world, 0, RUN_ID="third")
    verified = await play(world, 0, "verify")
    assert verified.events("run.verified")[0]["done"] is True
    heading, *listed, _ = (await play(world, 0, "runs")).stdout.splitlines()
    outcome = slice(heading.index("outcome"), heading.index("took"))
    assert {(line.split()[-1], line[outcome].strip()) for line in listed} == {
        ("first", "cards missing"), ("second", "succeeded"), ("third", "succeeded"),
    }  # fmt: skip
    assert len(listed) == 3
    assert any(line.startswith("2026-01-01 ") and line.endswith(" second") for line in listed), "the date it is for"
    assert (await play(world, 0, "verify", "--date", "2026-01-01")).events("run.verified")[0]["done"] is True


@pytest.mark.slow
async def test_an_unreadable_record_is_reported(world: World) -> None:
    await play(world, 0, RUN_ID="night")
    (world.directory / "runs" / "night" / "inputs.json").write_text("{}")
    (verified,) = (await play(world, 1, "verify")).events("run.verified")
    assert "run night: unreadable. night/inputs.json " in verified["message"]


@pytest.mark.slow
async def test_a_run_that_was_killed_is_listed_as_killed_and_not_verified(world: World) -> None:
    world.news.script.append(Fault(when.always, do.hang()))
    job = await world.start_job(env={"RUN_ID": "night", "RUNS_URI": world.runs_uri})
    await world.news.until(bool)
    await job.kill()
    assert " killed " in (await play(world, 0, "runs")).stdout
    await play(world, 1, "verify")


@pytest.mark.slow
async def test_without_a_place_a_run_is_not_recorded_and_says_so_once(world: World) -> None:
    outcome = await play(world, 0, RUNS_URI=None)
    assert outcome.stdout.count("RUNS_URI is not set") == 1
    for command in ("runs", "verify"):
        refused = await play(world, 2, command, RUNS_URI=None)
        assert "RUNS_URI" in refused.stderr


@pytest.mark.slow
async def test_no_secret_and_no_token_is_recorded(world: World) -> None:
    await play(world, 0)
    recorded = await objects(world)
    for content in recorded.values():
        assert all(word not in content for word in (b"eyJ", b"Bearer", b"Authorization"))
    inputs = json.loads(recorded["night/inputs.json"])["body"]
    assert json.loads(inputs["objects"]["ticker_list.json"]["content"]) == TICKERS
    assert all(kept["generation"] for kept in inputs["objects"].values())


@pytest.mark.slow
async def test_a_full_disk_under_standard_output_does_not_stop_the_run(world: World) -> None:
    env = world.environment(RUN_ID="night", RUNS_URI=world.runs_uri)
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        process = await trio.lowlevel.open_process([sys.executable, "-m", "job"], env=env, cwd=ROOT, stdout=full)
    finally:
        os.close(full)
    with trio.fail_after(30):
        assert await process.wait() == 0
    assert set(asked_cards(world).values()) == {1}
    assert len(asked_cards(world)) == PLANNED
    report = json.loads((await objects(world))["night/report.json"])
    assert report["outcome"] == "succeeded"


@pytest.mark.parametrize("terminal", [False, True])
async def test_a_run_of_a_cloud_run_job_is_resumed_there_if_the_engines_are_not_set_here(
    world: World, terminal: bool
) -> None:
    world.qa.script.append(Fault(when.ticker("AAPL"), do.status(422)))
    where = {"CLOUD_RUN_JOB": "cards", "GOOGLE_CLOUD_REGION": "asia-east1", "GOOGLE_CLOUD_PROJECT": "p"}
    await play(world, 3, **where)
    before = len(world.seen)
    bare = {f"{name}_ENGINE_URL": None for name in ("FINANCIAL", "TRADING", "NEWS", "QA")}
    env = {"RUNS_URI": world.runs_uri, "CONFIG_URI": None, **bare}
    outcome = await world.run_job(("resume", "night"), env=env, terminal=terminal)
    assert outcome.exit_code == 2, outcome.stdout + outcome.stderr
    command = "gcloud run jobs execute cards --region=asia-east1 --project=p --args=resume,night"
    assert command in outcome.stdout
    assert terminal or outcome.finished["resume_command"] == command
    assert len(world.seen) == before

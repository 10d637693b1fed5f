"""However a run ends, every missing card is listed by name, and so is the command that resumes the run."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.simulators import broken, do, when
from tests.simulators.engines import steady
from tests.simulators.job import Outcome
from tests.simulators.service import Fault
from tests.simulators.world import World, open_world
from tests.support.parsed import Parsed
from tests.support.runs import QUICK, asked_cards, assert_clean, run, until

TICKERS = [f"T{number:02}" for number in range(30)]
CONFIG: dict[str, object] = {
    "ticker_list.json": [*TICKERS, "美联储 利率"],
    "card_types.json": ["news_card", "price_card"],
}
PLANNED = [(target, card) for target in [*TICKERS, "美联储 利率"] for card in ("news_card", "price_card")]
CLOUD = {
    "CLOUD_RUN_JOB": "cards-nightly",
    "CLOUD_RUN_EXECUTION": "cards-nightly-x7k2p",
    "GOOGLE_CLOUD_REGION": "asia-east1",
    "GOOGLE_CLOUD_PROJECT": "my-project",
}
PASTED = "gcloud run jobs execute cards-nightly --region=asia-east1 --project=my-project --args=resume,night"


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, CONFIG, latency=QUICK) as opened:
        yield opened


def variables(world: World, **more: str) -> dict[str, str | None]:
    return {"RUNS_URI": world.runs_uri, "RUN_ID": "night", "QA_ENGINE_CONCURRENCY": "4", **more}


def recorded(world: World) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(world.runs_uri) / "night" / "report.json").read_bytes())
    return found


def page(world: World) -> str:
    return Parsed((Path(world.runs_uri) / "night" / "report.html").read_text()).text


async def reader(world: World, *arguments: str) -> Outcome:
    """The record as somebody reads it on a laptop: nothing is set but where it is."""
    bare = dict.fromkeys(world.environment())
    outcome = await world.run_job(("report", "night", *arguments), env={**bare, "RUNS_URI": world.runs_uri})
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    return outcome


async def missing(world: World) -> list[tuple[str, str]]:
    """The cards that `report --missing` names."""
    lines = (await reader(world, "--missing")).stdout.splitlines()
    return [(target, card) for line in lines for target, card in [line.split("\t")]]


def made(world: World) -> set[tuple[str, str]]:
    return {
        (request.tickers[0], request.card or "") for request in world.qa.requests if request.status == 200
    }  # fmt: skip


async def deadline(world: World) -> Outcome:
    world.qa.latency = steady(0.5)
    return await run(world, 4, variables(world, RUN_DEADLINE_SECONDS="2"))


async def data_failed(world: World, **more: str) -> Outcome:
    world.news.script.append(Fault(when.ticker("T07"), do.status(422)))
    return await run(world, 1, variables(world, **more))


async def qa_down(world: World) -> Outcome:
    world.qa.script.append(Fault(when.nth(*range(9, 1000)), do.status(403)))
    return await run(world, 3, variables(world))


async def interrupted(world: World) -> Outcome:
    world.qa.latency = steady(0.3)
    job = await world.start_job("run", env=variables(world))
    await until(lambda: len(world.qa.requests) >= 10)
    job.send_signal(signal.SIGINT)
    outcome = await job.outcome()
    assert outcome.exit_code == 130
    assert_clean(world, outcome)
    return outcome


ENDS = {"deadline": deadline, "data_engine_failed": data_failed, "qa_engine_down": qa_down, "interrupted": interrupted}


@pytest.mark.parametrize(
    "word",
    [
        pytest.param("deadline", marks=pytest.mark.slow),
        "data_engine_failed",
        pytest.param("qa_engine_down", marks=pytest.mark.slow),
        pytest.param("interrupted", marks=pytest.mark.slow),
    ],
)
async def test_every_missing_card_is_named(world: World, word: str) -> None:
    outcome = await ENDS[word](world)
    assert outcome.finished["outcome"] == word
    report = recorded(world)
    named = await missing(world)
    assert named == [card for card in PLANNED if card in set(named)], "in the plan's order, each once"
    assert len(named) == report["cards"]["planned"] - report["cards"]["generated"] > 0
    if word != "interrupted":  # a card whose answer was in flight may have been made without being recorded
        assert set(named) == set(PLANNED) - made(world)
    assert [(entry["target"], entry["card_type"]) for entry in report["missing"]] == named
    assert report["missing_not_listed"] == 0
    qa, states = report["engines"]["qa"], [entry["state"] for entry in report["missing"]]
    assert states.count("not_attempted") == report["cards"]["not_attempted"] == qa["not_attempted"]
    assert states.count("failed") == qa["failed"] - qa["cut_off"]
    assert states.count("cut_off") == qa["cut_off"]
    lacking, shown = Counter(target for target, _ in named), page(world)
    attempted = {entry["target"] for entry in report["missing"] if entry["state"] != "not_attempted"}
    untouched = [target for target, count in lacking.items() if count == 2 and target not in attempted]
    assert not untouched or f"Nothing was attempted for {len(untouched)} targets: {untouched[0]}" in shown
    for target in lacking.keys() - set(untouched):
        assert f" {target} {2 - lacking[target]} of 2 " in shown.partition("Target Made ")[2]


@pytest.mark.slow
async def test_a_run_that_was_killed_names_what_its_journal_lacks(world: World) -> None:
    world.qa.latency = steady(0.3)
    job = await world.start_job("run", env=variables(world, **CLOUD))
    await until(lambda: len(world.qa.requests) >= 10)
    await trio.sleep(3.5)
    await job.kill()
    named = await missing(world)
    assert 0 < len(named) < len(PLANNED)
    assert set(named) >= set(PLANNED) - set(asked_cards(world)), "what was never requested is missing for certain"
    assert PASTED not in (await reader(world)).stdout, "its lease was renewed less than a minute ago"
    os.utime(Path(world.runs_uri) / "_lease.json", (0, 0))
    printed = (await reader(world)).stdout
    assert "The run was killed: " in printed
    assert "Go on with what is missing:" in printed
    again = PASTED.removesuffix(" --args=resume,night")
    assert f"\n  {again}\n" in printed, "the place was recorded before the run was killed"


@pytest.mark.slow
async def test_a_complete_run_lists_no_missing_card(world: World) -> None:
    await run(world, 0, variables(world))
    assert await missing(world) == []
    assert (recorded(world)["missing"], recorded(world)["resume_command"]) == ([], None)


@pytest.mark.slow
async def test_in_the_cloud_everything_says_the_same_command_and_it_works(world: World) -> None:
    world.qa.script.append(Fault(when.ticker("T03"), do.body({"status": "failed", "error": "no"})))
    outcome = await run(world, 3, variables(world, **CLOUD, RUN_DATE="today"))
    assert outcome.finished["resume_command"] == PASTED
    assert recorded(world)["resume_command"] == PASTED
    assert (recorded(world)["job"], recorded(world)["region"]) == ("cards-nightly", "asia-east1")
    assert f"On a later day, this requests only what is missing: {PASTED}" in page(world)
    printed = (await reader(world)).stdout
    assert f"\n  {PASTED}\n" in printed, "on a laptop that only reads the record"
    assert f"trace id: {recorded(world)['trace_id']}" in printed
    assert f"page: {world.runs_uri}/night/report.html" in printed
    world.qa.script.clear()
    arguments = shlex.split(PASTED)[-1].removeprefix("--args=").split(",")
    done = await world.run_job(arguments, env={"RUNS_URI": world.runs_uri, **CLOUD})
    assert done.exit_code == 0, done.stdout
    assert done.finished["cards"]["generated"] == 2
    assert "resume_command" not in done.finished


@pytest.mark.slow
async def test_a_fault_of_the_config_has_the_command_that_takes_the_corrected_one(world: World) -> None:
    """The command does what is missing, which a plain resume cannot do."""
    outcome = await data_failed(world, RUN_DATE="today")
    command = outcome.finished["resume_command"]
    assert command == f"RUNS_URI={world.runs_uri} python -m job resume night --new-config"
    assert f"On a later day, this requests only what is missing: {command}" in page(world)
    (failure,) = (failure for failure in recorded(world)["failures"] if failure["cause"] == "status")
    assert failure["then"] == "new_config"
    await world.configure("ticker_list.json", [ticker for ticker in CONFIG["ticker_list.json"] if ticker != "T07"])  # type: ignore[attr-defined]
    done = await world.run_job(shlex.split(command)[4:], env={"RUNS_URI": world.runs_uri})
    assert done.exit_code == 0, done.stdout


@pytest.mark.slow
async def test_a_resume_of_a_changed_config_names_the_command_of_its_place(world: World) -> None:
    await data_failed_in_the_cloud(world)
    await world.configure("ticker_list.json", ["OTHER"])
    outcome = await world.run_job(("resume", "night"), env={"RUNS_URI": world.runs_uri})
    assert f"with the config as it is now: {PASTED},--new-config" in outcome.events("config.noticed")[-1]["message"]


async def data_failed_in_the_cloud(world: World) -> None:
    world.news.script.append(Fault(when.ticker("T07"), do.status(503)))
    await run(world, 1, variables(world, **CLOUD, NEWS_ENGINE_ATTEMPTS="1"))
    world.news.script.clear()


@pytest.mark.slow
async def test_the_remedy_of_an_engines_answer_is_shown_even_if_its_next_attempt_was_cut_off(world: World) -> None:
    """The trading engine is the first to fail for good; the others have answered once, and wait for another attempt."""
    for engine in (world.financial, world.news):
        engine.script.append(Fault(when.always, do.status(503, retry_after="20")))
    world.trading.script.append(Fault(when.always, do.status(401, after=0.5)))
    outcome = await run(world, 1, variables(world))
    failures = recorded(world)["failures"]
    assert {failure["engine"] for failure in failures} == {"financial", "trading", "news"}
    for failure in failures:
        if failure["engine"] != "trading":
            assert (failure["cause"], failure["status"]) == ("interrupted", 503)
            assert failure["remedy"].startswith("The engine was not available.")
    engines = outcome.finished["engines"]
    for name in ("financial", "news"):
        assert engines[name]["cut_off"] == engines[name]["failed"] > 0


def screen_of(outcome: Outcome) -> list[str]:
    """The lines of a terminal, without colours, after the bars have gone."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", outcome.stdout).replace("\r", "")
    lines = text.splitlines()
    return lines[max(number for number, line in enumerate(lines) if line.lstrip().startswith("engine ")) :]


async def test_the_end_on_a_terminal_shows_each_cause_once_and_how_to_resume(world: World) -> None:
    world.qa.script.append(Fault(when.always, broken.reset()))
    env = variables(world, QA_ENGINE_ATTEMPTS="1", QA_ENGINE_CONCURRENCY="1", RUN_DATE="today")
    outcome = await world.run_job(terminal=True, env=env)
    assert outcome.exit_code == 3
    lines = screen_of(outcome)
    assert len(lines) < 20, lines
    names = [f"{target} {card}" for target, card in PLANNED[:10]]
    (failed,) = (line for line in lines if line.startswith("✗"))
    assert failed == f"✗ QA engine: 20 cards failed: {', '.join(names)} and 10 more"
    assert lines[-8:-1] == [
        f"62 cards are missing; their names: RUNS_URI={world.runs_uri} python -m job report night --missing",
        f"trace id: {recorded(world)['trace_id']}",
        f"page: {world.runs_uri}/night/report.html",
        "Once the cause is put right, this requests only what is missing:",
        f"  RUN_DATE={recorded(world)['date']} RUNS_URI={world.runs_uri} python -m job run",
        "On a later day, this requests only what is missing:",
        f"  RUNS_URI={world.runs_uri} python -m job resume night",
    ]
    assert lines[-1].endswith("(exit code 3)")
    assert (Path(world.runs_uri) / "night" / "report.html").exists()


@pytest.mark.slow
async def test_control_c_on_a_terminal_ends_with_what_to_do(world: World) -> None:
    world.qa.latency = steady(5)
    job = await world.start_job("run", env=variables(world), terminal=True)
    await until(lambda: len(world.qa.requests) >= 4)
    job.send_signal(signal.SIGINT)
    outcome = await job.outcome()
    assert outcome.exit_code == 130
    lines = screen_of(outcome)
    assert any(line.startswith("! QA engine: 4 cards cut off: ") for line in lines)
    assert not any(line.startswith("✗") for line in lines)
    qa = next(line for line in lines if line.startswith("qa"))
    assert qa.split()[3:7] == ["0", "0", "4", "58"], "done, failed, cut off, not attempted"
    start = lines.index("Go on with what is missing:")
    assert lines[start + 1] == f"  RUNS_URI={world.runs_uri} python -m job run"
    assert "On a later day, this starts a new run" in " ".join(lines[start + 2 : -2]), "it has no date"
    assert lines[-2] == f"  RUN_DATE={recorded(world)['day']} RUNS_URI={world.runs_uri} python -m job run"


@pytest.mark.slow
async def test_without_a_record_the_end_says_how_to_have_the_missing_cards_listed(world: World) -> None:
    world.news.script.append(Fault(when.ticker("T07"), do.status(422)))
    outcome = await world.run_job(terminal=True)
    assert outcome.exit_code == 1
    lines = screen_of(outcome)
    assert lines[-4:-1] == [
        "62 cards are missing. Only a recorded run lists its missing cards: set RUNS_URI.",
        "This run is not recorded and cannot be resumed: start a new run.",
        "  python -m job run",
    ]
    assert not any("job resume" in line or "page" in line for line in lines)


@pytest.mark.slow
async def test_a_card_type_that_always_fails_is_set_aside_and_all_others_are_made(nursery: trio.Nursery) -> None:
    tickers = [f"T{number:02}" for number in range(60)]
    async with open_world(nursery, {"ticker_list.json": tickers, "card_types.json": ["risk_card", "新闻"]}) as world:
        world.qa.script.append(Fault(when.card("新闻"), do.status(500)))
        outcome = await run(world, 3, variables(world, QA_ENGINE_ATTEMPTS="1", QA_ENGINE_CONCURRENCY="4"))
        left = outcome.finished["cards"]["not_attempted"]
        assert outcome.finished["outcome"] == "cards_missing"
        assert outcome.finished["cards"]["generated"] == 60
        assert 60 - 24 <= left <= 60 - 20
        assert outcome.finished["message"].endswith(f"{60 - left} failed, {left} were not attempted.")
        assert outcome.finished["set_aside"] == ["新闻"]
        (line,) = outcome.events("circuit.opened")
        reason = (
            "Card type 新闻 is set aside, since 20 of its cards failed in a row: the rest of them is not requested. "
        )
        assert (line["severity"], line["card_type"]) == ("ERROR", "新闻")
        assert line["message"].startswith(f"{reason}Last answer: HTTP 500")
        assert line["remedy"].endswith("Then a resume requests the cards of this type that are missing.")
        (attempt,) = recorded(world)["attempts"]
        (one,) = attempt["set_aside"]
        assert (one["card_type"], one["reason"], one["remedy"]) == ("新闻", line["message"], line["remedy"])
        printed = (await reader(world)).stdout
        for shown in (page(world), printed):
            assert one["reason"] in shown
            assert f"What to do: {one['remedy']}" in shown or f"what to do: {one['remedy']}" in shown
        world.qa.script.clear()
        done = await world.run_job(("resume", "night"), env={"RUNS_URI": world.runs_uri})
        assert (done.exit_code, done.finished["cards"]["generated"]) == (0, 60)
        assert "is set aside" not in page(world)

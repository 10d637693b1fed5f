"""Every recorded run leaves its page and its report behind, and both say what the log's last line says."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from job.execution.executor import FAILED_ATTEMPTS_KEPT
from job.report.report import read_report
from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.job import Outcome
from tests.simulators.service import Fault
from tests.simulators.world import World, open_world
from tests.support.parsed import Parsed
from tests.support.runs import CONFIG, QUICK, of_all_attempts, run, until

REFUSED = Fault(
    when.both(when.ticker("AAPL"), when.card("news_card")), do.body({"status": "failed", "error": "no <b>&"})
)
TYPE = "type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent"


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, CONFIG, latency=QUICK) as opened:
        yield opened


def variables(world: World, **more: str) -> dict[str, str]:
    return {"RUNS_URI": world.runs_uri, "RUN_ID": "night", "RUN_DATE": "2026-11-24", **more}


def page(world: World) -> Parsed:
    return Parsed((Path(world.runs_uri) / "night" / "report.html").read_text())


def assert_consistent(world: World, finished: dict[str, Any]) -> dict[str, Any]:
    """The page, the report and the closing line agree; returns the report."""
    data = (Path(world.runs_uri) / "night" / "report.json").read_bytes()
    report: dict[str, Any] = json.loads(data)
    shown, cards = page(world), report["cards"]
    assert report["format"] == 1
    for name in ("outcome", "exit_code"):
        assert report[name] == finished[name], name
    # The log's last line counts this attempt, the report and the page all attempts.
    assert cards == of_all_attempts(finished["cards"], "generated")
    for engine, totals in report["engines"].items():
        expected = of_all_attempts(finished["engines"][engine], "done")
        if not finished["engines"][engine]["skipped"]:
            assert totals == expected | {
                name: pytest.approx(expected[name], abs=0.003) for name in ("p50_seconds", "p95_seconds")
            }
        assert all(totals[name] == expected[name] for name in ("planned", "done", "skipped", "failed", "not_attempted"))
    assert report["sentence"] == finished["message"]
    assert report["sentence_message"]["id"]
    cut_off = report["engines"]["qa"]["cut_off"] if "qa" in report["engines"] else 0
    tiles = cards | {"failed": cards["failed"] - cut_off, "cut_off": cut_off}
    for name in ("planned", "generated", "failed", "not_attempted", *(["cut_off"] if cut_off else [])):
        assert shown.tiles[name.replace("_", " ")] == tiles[name], name
    assert finished["message"] in shown.text
    assert report["trace_id"] in shown.text
    assert report["trace_id"] == finished["logging.googleapis.com/trace"].rpartition("/")[2]
    for failure in report["failures"]:
        assert failure["traceparent"][36:52] in shown.text
        assert failure["cause"] == "interrupted" or failure["remedy"] in shown.text
        assert failure["reason"] in shown.text
    read_report("report.json", data)
    return report


def errors(outcome: Outcome) -> list[dict[str, Any]]:
    return [line for line in outcome.lines if "@type" in line]


async def test_a_successful_run_has_a_page_and_a_report(world: World) -> None:
    project = {"GOOGLE_CLOUD_PROJECT": "cards", "CLOUD_RUN_EXECUTION": "night"}
    outcome = await run(world, 0, variables(world, **project))
    report = assert_consistent(world, outcome.finished)
    assert report["failures"] == []
    assert (report["day"], report["date"], report["project"]) == ("2026-11-24", "2026-11-24", "cards")
    assert report["config_generations"].keys() == CONFIG.keys()
    assert report["started"] <= report["ended"]
    shown = page(world)
    assert "All 19 cards are there" in shown.text
    assert "美联储" in shown.text
    for line in outcome.events("call.finished"):
        assert line["traceparent"][36:52] in shown.text
    assert errors(outcome) == []


async def test_missing_cards_are_on_the_page_and_in_the_report(world: World) -> None:
    world.qa.script.append(REFUSED)
    world.news.script.append(Fault(when.nth(2), do.status(503)))
    outcome = await run(world, 3, variables(world))
    report = assert_consistent(world, outcome.finished)
    (failure,) = report["failures"]
    assert failure["engine"] == "qa"
    assert (failure["targets"], failure["card_type"], failure["cause"]) == (["AAPL"], "news_card", "denied")
    assert (failure["reason"], failure["attempts"], failure["status"]) == ("failed: no <b>&", 2, 200)
    shown = page(world)
    assert "1 of 19 cards is missing" in shown.text
    assert "python -m job resume night" in shown.text
    (error,) = errors(outcome)
    assert error is outcome.finished
    assert error["@type"] == TYPE
    assert error["context"]["reportLocation"]["functionName"] == "cards_missing"
    assert "stack_trace" not in error, "no stack is made up"
    assert failure["reason_message"] == {
        "id": "{status}: {answer}", "values": {"status": "failed", "answer": "no <b>&"}, "plural": None
    }  # fmt: skip
    qa: dict[str, object] = {"id": "QA", "values": {}, "plural": None}
    assert failure["remedy_message"]["values"] == {"engine": qa, "variable": "QA_ENGINE"}


@pytest.mark.slow
async def test_a_data_engine_that_failed_is_one_error(world: World) -> None:
    world.trading.script.append(Fault(when.always, do.status(403)))
    outcome = await run(world, 1, variables(world))
    report = assert_consistent(world, outcome.finished)
    assert report["cards"]["not_attempted"] == 19
    assert "roles/run.invoker" in page(world).text
    assert "No card was made: a data engine failed" in page(world).text
    (error,) = errors(outcome)
    assert error["context"]["reportLocation"]["functionName"] == "data_engine_failed"


@pytest.mark.parametrize("word", ["bad_config", pytest.param("no_lease", marks=pytest.mark.slow)])
async def test_a_run_that_cannot_begin_is_one_error_as_well(world: World, word: str) -> None:
    if word == "bad_config":
        outcome = await run(world, 2, {**variables(world), "CONFIG_URI": str(world.directory / "nowhere")})
    else:
        await trio.Path(world.runs_uri, "night").write_bytes(b"a file, so that nothing can be written under its name")
        outcome = await run(world, 75, variables(world))
    (error,) = errors(outcome)
    assert error["context"]["reportLocation"]["functionName"] == word


@pytest.mark.slow
async def test_a_resumed_run_shows_what_all_attempts_did(world: World) -> None:
    world.qa.script.append(REFUSED)
    first = await run(world, 3, variables(world))
    world.qa.script.clear()
    second = await run(world, 0, variables(world))
    report = assert_consistent(world, second.finished)
    assert [attempt["outcome"] for attempt in report["attempts"]] == ["cards_missing", "succeeded"]
    assert second.finished["cards"]["skipped"] == 18
    assert (report["cards"]["generated"], report["cards"]["skipped"]) == (19, 0)
    assert report["engines"]["qa"]["calls"] == 20, "of both attempts"
    assert report["engines"]["qa"]["retries"] == 1
    assert report["failures"] == []
    shown = page(world)
    assert "2 attempts" in shown.text
    assert "What failed, and what to do" not in shown.text, "it is there now"
    for line in first.events("call.finished") + second.events("call.finished"):
        assert line["traceparent"][36:52] in shown.text


@pytest.mark.slow
async def test_a_signal_leaves_a_page_within_its_time(world: World) -> None:
    world.qa.latency = steady(30)
    job = await world.start_job("run", env=variables(world))
    await job.seen("barrier.crossed")
    job.send_signal(signal.SIGINT)
    outcome = await job.outcome()
    assert outcome.exit_code == 130
    assert_consistent(world, outcome.finished)
    assert "Interrupted: 19 of 19 cards are missing" in page(world).text
    assert "cut off" in page(world).text


@pytest.mark.slow
async def test_without_a_record_there_is_no_page(world: World) -> None:
    await run(world, 0)
    assert not list(world.directory.rglob("report.*"))


@pytest.mark.slow
async def test_a_page_that_cannot_be_written_does_not_change_the_outcome(world: World) -> None:
    (Path(world.runs_uri) / "night" / "report.html").mkdir(parents=True)
    outcome = await world.run_job(env=variables(world, **world.chat.env("slack")))
    assert outcome.exit_code == 0, outcome.stdout
    assert outcome.finished["outcome"] == "succeeded"
    (said,) = outcome.events("storage.failed")
    assert said["message"].startswith("the page of the run is not written: ")
    (text,) = world.chat.texts
    assert "The page of the run could not be written." in text.splitlines()
    assert "report.html" not in text


async def report(world: World, *arguments: str, **env: str | None) -> Outcome:
    return await world.run_job(["report", *arguments], env={"RUNS_URI": world.runs_uri, **env})


@pytest.mark.slow
async def test_the_report_is_printed_again_from_the_record(world: World) -> None:
    world.qa.script.append(REFUSED)
    outcome = await run(world, 3, variables(world))
    file = world.directory / "again.html"
    ended = await report(world, "night", "--page", str(file))
    assert ended.exit_code == 0, ended.stderr
    assert outcome.finished["message"] in ended.stdout
    assert "✗ QA engine: 1 card failed: AAPL news_card" in ended.stdout
    assert "last answer: failed: no <b>&" in ended.stdout
    assert "what to do: The engine did not make the card." in ended.stdout
    nights = (Path(world.runs_uri) / "index.html").absolute().as_uri()
    written = (Path(world.runs_uri) / "night" / "report.html").read_text()
    table = (Path(world.runs_uri) / "night" / "cards.csv").absolute().as_uri()
    assert file.read_text() == written.replace("../index.html", nights).replace('href="cards.csv"', f'href="{table}"')
    assert table in file.read_text()


@pytest.mark.slow
async def test_the_report_of_a_killed_run_is_made_from_its_journal(world: World) -> None:
    world.qa.latency = steady(0.3)
    job = await world.start_job("run", env=variables(world, QA_ENGINE_CONCURRENCY="1"))
    await job.seen("barrier.crossed")
    await until(lambda: any(line.get("engine") == "qa" for line in job.lines if line["event"] == "call.finished"))
    await trio.sleep(3.5)  # within 5 s a result is in the record
    await job.kill()
    file = world.directory / "again.html"
    ended = await report(world, "night", "--page", str(file))
    assert ended.exit_code == 0, ended.stderr
    assert "The run was killed: " in ended.stdout
    shown = Parsed(file.read_text())
    cards = shown.tiles
    assert cards["planned"] == 19
    assert 0 < cards["generated"] < 19
    assert cards["generated"] + cards["not attempted"] == 19


@pytest.mark.parametrize(
    ("env", "said"),
    [({}, "has no record of run night"), pytest.param({"RUNS_URI": None}, "is not set", marks=pytest.mark.slow)],
)
async def test_the_report_of_an_unknown_run_is_an_error(world: World, env: dict[str, None], said: str) -> None:
    ended = await report(world, "night", **env)
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert ended.stdout == ""


@pytest.mark.slow
async def test_a_page_whose_directory_does_not_exist_is_an_error(world: World) -> None:
    await run(world, 0, variables(world))
    ended = await report(world, "night", "--page", str(world.directory / "no" / "where.html"))
    assert ended.exit_code == 2
    assert "No such file or directory" in ended.stderr


@pytest.mark.slow
async def test_open_shows_the_page_in_the_browser(world: World) -> None:
    await run(world, 0, variables(world))
    browser, seen = world.directory / "browser", world.directory / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" > {seen}\n')
    browser.chmod(0o755)
    ended = await report(world, "night", "--open", BROWSER=f"{browser} %s", PATH=os.environ["PATH"])
    assert ended.exit_code == 0, ended.stderr
    opened = Path(seen.read_text().strip().removeprefix("file://"))
    assert "All 19 cards are there" in opened.read_text()  # noqa: ASYNC240


@pytest.mark.slow
async def test_a_record_that_was_changed_is_refused(world: World) -> None:
    await run(world, 0, variables(world))
    chunk = next((Path(world.runs_uri) / "night" / "results").iterdir())
    chunk.write_bytes(chunk.read_bytes().replace(b"AAPL", b"AAPX"))
    ended = await report(world, "night")
    assert ended.exit_code == 2
    assert "was changed after it was written" in ended.stderr


@pytest.mark.slow
async def test_a_rejected_call_shows_its_latest_attempts(world: World) -> None:
    assert FAILED_ATTEMPTS_KEPT == 10
    world.qa.script.append(Fault(when.both(when.ticker("AAPL"), when.attempt(1, 2)), do.status(429)))
    outcome = await run(world, 0, variables(world))
    assert_consistent(world, outcome.finished)
    assert outcome.finished["engines"]["qa"]["retries"] >= 2


CHINESE = re.compile("图卡|引擎|运行|应答")


@pytest.mark.slow
async def test_text_for_people_is_in_their_language_and_text_for_machines_in_english(world: World) -> None:
    world.qa.script += [Fault(when.both(when.ticker("AAPL"), when.attempt(1)), do.status(503)), REFUSED]
    outcome = await world.run_job(env=variables(world, REPORT_LANGUAGE="zh"))
    finished = outcome.finished
    assert finished["message"].startswith("Cards are missing: ")
    assert not CHINESE.search(outcome.stdout)
    folder = Path(world.runs_uri) / "night"
    report = (folder / "report.json").read_text()
    assert not CHINESE.search(report)
    assert not any(CHINESE.search(journal.read_text()) for journal in (folder / "results").iterdir())
    shown = page(world)
    assert '<html lang="zh-CN">' in shown.source
    for words in ("缺少图卡：", "引擎没有生成图卡。", "最后的应答：failed：no <b>&", "之前：HTTP 503"):
        assert words in shown.text
    assert "历次运行" in (folder.parent / "index.html").read_text()
    for arguments, words in (
        (("report", "night"), "缺少图卡："),
        (("runs",), "缺少图卡"),
        (("nights",), "其中 0 次全部完成"),
    ):
        ended = await world.run_job(arguments, env=variables(world, REPORT_LANGUAGE="zh"))
        assert ended.exit_code == 0
        assert words in ended.stdout
        ended = await world.run_job(arguments, env=variables(world))
        assert not CHINESE.search(ended.stdout)

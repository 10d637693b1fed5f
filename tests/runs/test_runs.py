"""A start of the real process makes every call of its plan once, and shows what only a process shows."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import AsyncMock, Mock

import pytest
import trio

from job import opening, orchestrator
from job.config.environment import Options, read_settings
from job.day.ledger import Ledger
from job.day.result import CallResult
from job.execution.phases import Phases
from job.outputs import pages as outputs_pages
from job.outputs.log import CloudLog, Reporter
from job.records.lease import LEASE, Lease
from job.records.record import Journal
from tests.runs.nights_by_chance import promise
from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.job import ROOT
from tests.simulators.service import Fault
from tests.simulators.storage import emulator_binary
from tests.simulators.world import World, open_world
from tests.support.records import NOW
from tests.support.runs import QUICK, SMALL, objects, run
from tests.support.scene import ALL, CLOUD, DAY, RETRY, Scene
from tests.support.stores import memory

__all__ = ["memory"]


@pytest.fixture
async def small(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, SMALL, latency=QUICK) as opened:
        yield opened


def bugs_in(caplog: pytest.LogCaptureFixture) -> str:
    """What is on standard error of the bugs so far."""
    said = caplog.text
    caplog.clear()
    return said


async def test_a_bug_before_the_first_call_claims_no_cards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(opening, "resolve_day", AsyncMock(side_effect=ZeroDivisionError))
    settings, faults = read_settings({"CONFIG_URI": str(tmp_path), "RUNS_URI": str(tmp_path)})
    reporter = Mock(drain=AsyncMock())
    code = await orchestrator.run(Options(settings, faults, NOW, time.monotonic()), reporter)
    assert (code, bugs_in(caplog).count("ZeroDivisionError\n")) == (70, 1)
    (view,) = reporter.on_finish.call_args.args
    assert str(view.sentence) == "The job has a bug: nothing was called"


async def fails(*_: object, **__: object) -> None:
    await trio.sleep(5)
    raise ZeroDivisionError


BUGGY = {
    "the calls": (Phases, "generate", fails),
    "what is said of a call": (Reporter, "on_event", Mock(side_effect=ZeroDivisionError)),
    "what is said each minute": (Reporter, "on_progress", Mock(side_effect=ZeroDivisionError)),
    "the journal": (Journal, "flush", fails),
    "the lease": (Lease, "_renewed", Mock(side_effect=ZeroDivisionError)),
    "the deadline": (orchestrator, "at_deadline", fails),
}


@pytest.mark.parametrize("where", BUGGY)
async def test_wherever_a_bug_is_the_start_ends_in_order(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    """No call starts any more, the record is closed, the lease released, the message sent; the next start goes on."""
    monkeypatch.setattr(promise, "CODES", {70, *promise.CODES})
    scene.world.qa.latency = steady(40.0)
    with monkeypatch.context() as patch:
        patch.setattr(*BUGGY[where])
        job = await scene.begin(**scene.world.chat.env(RUN_DEADLINE_SECONDS="3600"))
        outcome = await scene.end(job, 70)
    assert "ZeroDivisionError" in bugs_in(caplog)
    finished = outcome.finished
    assert (finished["outcome"], finished["cards"]["not_attempted"] > 0) == ("unforeseen", True)
    (text,) = scene.world.chat.texts
    assert "✗ " in text
    assert scene.stored(LEASE)["is_released"]
    ended = [scene.stored(name)["outcome"] for name in scene.names("/ends/")]
    assert ended == ([] if where == "the journal" else ["unforeseen"]), "what cannot be flushed has no end"
    await scene.start(0)


async def test_a_bug_in_what_is_told_of_the_day_loses_no_result(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failures(ledger: Ledger) -> list[CallResult]:
        if ledger.plan.targets:
            raise ZeroDivisionError
        return []

    monkeypatch.setattr(promise, "CODES", {70, *promise.CODES})
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "failures", property(failures))
        await scene.start(70)
    assert "ZeroDivisionError" in bugs_in(caplog)
    await scene.start(0)
    assert scene.cards() == Counter(ALL)


UNTOLD = {
    "the end of the log": (CloudLog, "end", Mock(side_effect=ZeroDivisionError)),
    "a template": (outputs_pages, "environment", Mock(side_effect=ZeroDivisionError("odd"))),
}


@pytest.mark.parametrize("where", UNTOLD)
async def test_a_bug_in_a_line_or_a_page_about_the_end_changes_nothing_else(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    """All is made, recorded and told; the next start writes the pages."""
    with monkeypatch.context() as patch:
        patch.setattr(*UNTOLD[where])
        job = await scene.begin(**scene.world.chat.env())
        outcome = await job.outcome()
    assert outcome.exit_code == 0, outcome.stdout
    (end,) = scene.names("/ends/")
    stored, (text,) = scene.stored(end), scene.world.chat.texts
    assert (stored["outcome"], stored["engines"]["qa"]["done"]) == ("succeeded", len(ALL))
    assert text.startswith("✓ ")
    assert scene.stored(LEASE)["is_released"]
    assert outcome.finished["message"] == "Done: 5 of 5 cards made"
    if where == "a template":
        assert {*stored["not_written"]} == {f"{DAY}/report.html", "index.html"}
    else:
        assert "ZeroDivisionError" in bugs_in(caplog)
    count = len(scene.requests)
    await scene.start(0)
    assert (len(scene.requests), f"{DAY}/report.html" in scene.names()) == (count, True)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["directory", pytest.param("bucket", marks=pytest.mark.needs("emulator"))])
async def test_an_execution_that_is_killed_is_tried_again_and_makes_the_rest(nursery: trio.Nursery, place: str) -> None:
    emulator = emulator_binary() if place == "bucket" else None
    async with open_world(nursery, SMALL, latency=QUICK, emulator=emulator) as world:
        world.qa.script.append(Fault(when.both(when.ticker("MSFT"), when.attempt(1)), do.hang()))
        job = await world.start_job("run", env=CLOUD)
        recorded = b""
        while b'"card_type":"news_card"' not in recorded:
            await trio.sleep(0.1)
            recorded = b"".join(data for name, data in (await objects(world)).items() if "/results/" in name)
        await job.kill()
        assert (await run(world, 0, **RETRY)).finished["cards"]["done"] == 2
        assert Counter(one.tickers[0] for one in world.qa.requests) == {"AAPL": 1, "MSFT": 2}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full", "closed", "broken"])
async def test_an_output_that_cannot_be_written_does_not_stop_the_cards(small: World, kind: str) -> None:
    """A full disk, a closed descriptor, a pipe whose reader has gone."""
    command = [sys.executable, "-m", "job", "run"]
    if kind == "closed":
        command = ["/bin/sh", "-c", f"exec {sys.executable} -m job run >&-"]
    ours, theirs = os.pipe()
    os.close(ours)
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        done = await trio.run_process(
            command,
            cwd=ROOT,
            env=small.environment(),
            stdout={"full": full, "closed": subprocess.DEVNULL, "broken": theirs}[kind],
            capture_stderr=True,
            check=False,
        )
    finally:
        os.close(theirs)
        os.close(full)
    assert (done.returncode, done.stderr) == (0, b"")
    assert sorted(one.tickers for one in small.qa.requests) == [["AAPL"], ["MSFT"]]


@pytest.mark.slow
async def test_a_terminal_shows_bars_and_the_end(small: World) -> None:
    small.qa.latency = steady(0.3)
    small.qa.script.append(Fault(when.ticker("AAPL"), do.status(422)))
    outcome = await small.run_job(terminal=True)
    assert outcome.exit_code == 3
    for part in ("━", "1 of 2 cards made; 1 missing: ", "AAPL", "python -m job run"):
        assert part in outcome.stdout, part
    assert '"event"' not in outcome.stdout
    assert "eyJ" not in outcome.stdout

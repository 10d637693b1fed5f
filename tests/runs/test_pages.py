"""Every start leaves its page and its report behind, and both say what the last line of the log says."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import MockClock

from tests.simulators import do, when
from tests.simulators.service import Fault
from tests.support.parsed import Parsed
from tests.support.places import latest_end
from tests.support.runs import CONFIG, QUICK, run
from tests.support.world import VirtualWorld, open_virtual_world

if TYPE_CHECKING:
    from tests.simulators.job import Outcome

DAY = "2026-11-24"
REFUSED = Fault(
    when.both(when.ticker("AAPL"), when.card("news_card")), do.body({"status": "failed", "error": "no <b>&"})
)


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[VirtualWorld]:
    async with open_virtual_world(nursery, CONFIG, latency=QUICK) as opened:
        yield opened


def page(world: VirtualWorld) -> Parsed:
    return Parsed(world.recorded()[f"{DAY}/report.html"].decode())


def assert_consistent(world: VirtualWorld, outcome: Outcome) -> dict[str, Any]:
    """Page, report, record and last line agree, and the last line is an error for alerts; returns the report."""
    finished, recorded, shown = outcome.finished, world.recorded(), page(world)
    report: dict[str, Any] = json.loads(recorded[f"{DAY}/report.json"])
    for found in (report, latest_end(recorded, DAY)):
        for name in ("outcome", "exit_code", "engines", "day", "ended"):
            assert found[name] == finished[name], name
    assert report["sentence"] == finished["message"]
    assert finished["message"] in shown.text
    assert report["trace_id"] in shown.source
    assert report["trace_id"] == finished["logging.googleapis.com/trace"].rpartition("/")[2]
    errors = [line for line in outcome.lines if "@type" in line]
    assert errors == ([] if outcome.exit_code == 0 else [finished])
    if errors:
        assert finished["context"]["reportLocation"]["functionName"] == finished["outcome"]
    return report


async def test_missing_cards_and_what_all_attempts_made_of_them(autojump_clock: MockClock, world: VirtualWorld) -> None:
    world.qa.script.append(REFUSED)
    world.news.script.append(Fault(when.nth(2), do.status(503)))
    report = assert_consistent(world, await run(world, 3))
    (group,) = report["missing"]
    assert (group["engine"], group["card_type"], group["targets"]) == ("qa", "news_card", ["AAPL"])
    assert (group["cause"], group["nights"]) == ("denied", 1)
    shown = page(world).text
    for words in ("1 of 19 cards is missing", "python -m job run", "no <b>&"):
        assert words in shown, words
    world.qa.script.clear()
    report = assert_consistent(world, await run(world, 0))
    assert (report["number"], report["missing"]) == (2, [])
    written = [line for name, data in world.recorded().items() if "/results/" in name for line in data.splitlines()[1:]]
    for engine, totals in report["engines"].items():
        calls = [line for line in map(json.loads, written) if line["engine"] == engine]
        assert (totals["calls"], totals["retries"]) == (len(calls), sum(line.get("retries", 0) for line in calls))
    assert (report["engines"]["news"]["retries"], report["engines"]["qa"]["retries"]) == (1, 1)
    assert "All 19 cards are there" in page(world).text


async def test_a_data_engine_that_failed(autojump_clock: MockClock, world: VirtualWorld) -> None:
    world.trading.script.append(Fault(when.always, do.status(403)))
    report = assert_consistent(world, await run(world, 1))
    assert report["engines"]["qa"]["not_attempted"] == 19
    assert "roles/run.invoker" in page(world).text


CHINESE = re.compile("图卡|引擎|运行|应答")


async def test_text_for_people_is_in_their_language_and_text_for_machines_in_english(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    world.qa.script += [Fault(when.both(when.ticker("AAPL"), when.attempt(1)), do.status(503)), REFUSED]
    outcome = await run(world, 3, REPORT_LANGUAGE="zh")
    assert not CHINESE.search(outcome.stdout)
    for name, data in world.recorded().items():
        if name.endswith(".html"):
            assert '<html lang="zh-CN">' in data.decode()
        assert bool(CHINESE.search(data.decode())) is (name.endswith((".html", ".csv"))), name

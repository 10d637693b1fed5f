"""With CARD_URL, page and table of a run link to each made card; made again, they link as they did that night."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from io import StringIO

import pytest
import trio
from trio.testing import MockClock

from job.page.render import render_page
from job.records.past import read_run
from tests.runs.fault_table.row import CONFIG, PLANNED
from tests.simulators import do, when
from tests.simulators.service import Fault
from tests.support.runs import QUICK
from tests.support.world import VirtualWorld, open_virtual_world

FIRST, SECOND = (f"https://{host}.example/{{date}}/{{ticker}}/{{card_type}}.png" for host in ("first", "second"))


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[VirtualWorld]:
    async with open_virtual_world(nursery, CONFIG, latency=QUICK) as opened:
        yield opened


async def start(world: VirtualWorld, code: int, **env: str | None) -> None:
    given = {"RUNS_URI": world.runs_uri, "RUN_ID": "night", "RUN_DATE": "2026-11-24"}
    outcome = await world.run_job(("run",), env=given | env)
    assert outcome.exit_code == code, outcome.stdout


def links(world: VirtualWorld, host: str) -> tuple[int, int]:
    """How many links the page has, and how many the table."""
    recorded = world.recorded()
    rows = csv.DictReader(StringIO(recorded["night/cards.csv"].decode("utf-8-sig")))
    told = sum(
        row["url"] == f"https://{host}.example/2026-11-24/{row['target']}/{row['card_type']}.png" for row in rows
    )
    return recorded["night/report.html"].decode().count(f'href="https://{host}.example/2026-11-24/'), told


async def test_page_and_table_link_to_the_pictures_and_the_inputs_do_not_hold_where_these_are(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    world.qa.script.append(Fault(when.card("risk_card"), do.status(422)))
    await start(world, 3, CARD_URL=FIRST)
    assert links(world, "first") == (20, 20)
    holders = [name for name, data in world.recorded().items() if b"{card_type}" in data]
    assert holders == ["night/attempts/000001.json"]
    world.qa.script.clear()
    await start(world, 0, CARD_URL=SECOND)
    assert links(world, "first") == (0, 0)
    assert links(world, "second") == (PLANNED, PLANNED)


async def test_a_page_that_is_made_again_links_as_the_latest_attempt_did(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    world.qa.script.append(Fault(when.card("risk_card"), do.status(422)))
    await start(world, 3, CARD_URL=FIRST)
    again = await read_run(world.runs, "night")
    assert again is not None
    assert render_page(again.report, again.ledger, ()).decode().count('href="https://first.example/') == 20
    world.qa.script.clear()
    await start(world, 0)
    again = await read_run(world.runs, "night")
    assert again is not None
    assert b"first.example" not in render_page(again.report, again.ledger, ())

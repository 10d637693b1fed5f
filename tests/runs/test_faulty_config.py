"""A start whose configuration cannot be used leaves its faults in the record, and hinders no later start."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
import trio

from tests.simulators.world import World, open_world
from tests.support.altered import FULL_DISK, altered
from tests.support.parsed import Parsed
from tests.support.places import objects
from tests.support.runs import QUICK, SMALL, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.slow  # test_pages.py has a refused start in virtual time
BROKEN = b'["AAPL",]'


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, SMALL, latency=QUICK) as opened:
        await opened.configure("ticker_list.json", BROKEN)
        yield opened


async def test_the_faults_are_recorded_and_on_the_page(world: World) -> None:
    outcome = await run(world, 2, QA_ENGINE_TIMEOUT="0")
    day, recorded = outcome.finished["day"], await objects(world)
    assert sorted(recorded) == [f"{day}/ends/000000.json", f"{day}/report.html", f"{day}/report.json", "index.html"]
    written = json.loads(recorded[f"{day}/report.json"])
    assert written["sentence"] == outcome.finished["message"] == "The configuration has 2 faults: nothing was called"
    parts = ("where", "what", "remedy")
    said = [{name: line[name] for name in parts} for line in outcome.events("config.faulty")]
    assert [{name: fault[name] for name in parts} for fault in written["faults"]] == said
    assert len(said) == 2
    page = Parsed(recorded[f"{day}/report.html"].decode())
    assert all(part in page.text for fault in said for part in fault.values())
    assert world.seen == []


async def test_a_full_disk_does_not_change_the_outcome(world: World) -> None:
    flag = world.directory / "full"
    flag.touch()
    outcome = await run(world, 2, **altered(world.directory, FULL_DISK.format(flag=str(flag))))
    (said,) = outcome.events("storage.failed")
    assert "the faults of the configuration are not recorded: " in said["message"]
    assert "No space left on device" in said["message"]


async def test_a_disk_that_hangs_delays_the_outcome_by_seconds(world: World) -> None:
    hangs = "import os, time\nos.fsync = lambda descriptor: time.sleep(300)"
    began = time.monotonic()
    outcome = await run(world, 2, **altered(world.directory, hangs))
    assert time.monotonic() - began < 20
    (said,) = outcome.events("storage.failed")
    assert "not recorded: there was no answer within 3 s" in said["message"]

"""Whole starts in virtual time: what a night of any length takes, and which clocks count."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import date

import pytest
import trio
from trio.testing import MockClock

from tests.runs.fault_table.row import CONFIG
from tests.simulators import do, when
from tests.simulators.service import Fault
from tests.support.runs import QUICK, run
from tests.support.world import VirtualWorld, open_virtual_world


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[VirtualWorld]:
    async with open_virtual_world(nursery, CONFIG, latency=QUICK) as opened:
        yield opened


async def test_the_deadline_counts_from_the_start_of_the_process(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    world.import_seconds = 20.0
    world.news.script.append(Fault(when.always, do.hang()))
    began = time.monotonic()
    await run(world, 4, RUN_DEADLINE_SECONDS="30")
    assert 10 <= time.monotonic() - began < 11


async def test_today_is_one_day_of_the_zone_for_all_engines(autojump_clock: MockClock, world: VirtualWorld) -> None:
    for zone, day in (("Pacific/Kiritimati", 25), ("Pacific/Pago_Pago", 24)):
        world.forget()
        outcome = await run(world, 0, RUN_TIME_ZONE=zone, RUN_SCHEDULE=None)
        today = date(2026, 11, day).isoformat()
        assert outcome.finished["day"] == today
        assert {request.json["date"] for request in world.news.requests} == {today}
        assert {dict(request.query)["date_str"] for request in world.qa.requests} == {today}


@pytest.mark.parametrize("hangs", [False, True])
async def test_faults_that_cannot_be_recorded_change_no_outcome(
    autojump_clock: MockClock, world: VirtualWorld, hangs: bool
) -> None:
    def refuse(verb: str, _: str) -> bool:
        if hangs and verb == "create":
            world.storage_seconds = 300.0
        return verb == "create" and not hangs

    world.runs.refuse = refuse
    await world.configure("ticker_list.json", b'["AAPL",]')
    outcome = await run(world, 2)
    (said,) = outcome.events("storage.failed")
    assert "the faults of the configuration are not recorded: " in said["message"]
    assert hangs is ("there was no answer within 3 s" in said["message"])
    assert outcome.seconds < 5

"""Nights of the whole job, in virtual time, are predicted from their records."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from job.config.environment import read_settings
from job.records.past import read_past
from job.records.tonight import find_latest_start
from job.rehearsal.forecast import USABLE_ERROR, Effort, fitting, foretell, unknowable
from job.rehearsal.play import Scenario
from job.rehearsal.recorded import RecordedNight, read_nights
from tests.rehearsal.recorded import TYPES, tickers
from tests.simulators.engines import ramp, varied
from tests.support.world import START, open_virtual_world

CONFIG = {"ticker_list.json": tickers(30), "card_types.json": list(TYPES)}


async def lived(nights: list[RecordedNight], deadlines: list[str | None]) -> None:
    """Six nights, whose engines answer more or less slowly, and have little room at first."""
    async with trio.open_nursery() as nursery, open_virtual_world(nursery, CONFIG) as world:
        world.qa.capacity = ramp(4, 12, 60)
        for number in range(6):
            for service in world.engines.values():
                service.latency = varied(20.0 + number % 3, seed=number)
            env = {"RUNS_URI": world.runs_uri, "RUN_ID": f"night-{number}", "RUN_DATE": None}
            done = await world.run_job(env=env | {"RUN_DEADLINE_SECONDS": "7200"}, seconds=7200)
            assert done.exit_code == 0
            await trio.sleep(86_400 - trio.current_time() % 86_400)
        past = await read_past(world.runs)
        found, unread = await read_nights(world.runs, past.runs, world.config_uri, 1000)
        assert unread == 0
        nights += found
        start = await find_latest_start(world.runs, past, world.config_uri)
        deadlines.append(start.variables.get("RUN_DEADLINE_SECONDS") if start else None)
        nursery.cancel_scope.cancel()


@pytest.mark.slow
def test_nights_of_the_job_are_predicted() -> None:
    nights, deadlines = list[RecordedNight](), list[str | None]()
    trio.run(lived, nights, deadlines, clock=MockClock(autojump_threshold=0))
    assert len(nights) == 6
    assert deadlines == ["7200"]
    settings, _ = read_settings({}, START)
    tonight = Scenario(nights[0].plan, settings.engines)
    assert unknowable(tonight, nights) is None
    found = foretell(tonight, fitting(tonight, nights), Effort(nights=6, backtested=5, plays=3))
    took = sorted(one.seconds or 0.0 for one in nights)
    assert found.usual == pytest.approx((took[2] + took[3]) / 2, rel=0.2)
    assert found.error is not None
    assert found.error < USABLE_ERROR

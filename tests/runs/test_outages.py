"""A run survives an outage of storage of eight seconds, whenever it comes and whatever storage answers meanwhile."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import trio

from tests.runs.fault_table.row import CONFIG, PLANNED
from tests.runs.fault_table.storage import WRITES, config, content_of, writes_of
from tests.simulators import broken, do, when
from tests.simulators.service import Do, Fault
from tests.simulators.storage import emulator_binary
from tests.simulators.world import open_world
from tests.support.places import objects
from tests.support.runs import QUICK

if TYPE_CHECKING:
    from tests.simulators.seen import Seen
    from tests.simulators.when import When

BINARY = emulator_binary()
pytestmark = [pytest.mark.slow, pytest.mark.needs("emulator")]
OUTAGE = 8.0


@dataclass
class Outage:
    """Holds for all requests from the first that meets the condition on, for eight seconds."""

    begins: When
    began: float | None = None

    def __call__(self, seen: Seen) -> bool:
        if self.began is None and self.begins(seen):
            self.began = time.monotonic()
        return self.began is not None and time.monotonic() < self.began + OUTAGE


@pytest.mark.parametrize(
    ("begins", "fault"),
    [
        pytest.param(when.always, do.status(503), id="start: 503"),
        pytest.param(config, do.status(429), id="config: 429"),
        pytest.param(content_of("card_types.json"), broken.truncated(), id="config's content: half an answer"),
        pytest.param(writes_of(b"_lease.json"), do.status(500), id="lease: 500"),
        pytest.param(writes_of(b"/inputs.json"), broken.reset(), id="inputs: reset before"),
        pytest.param(writes_of(b"results/"), broken.reset_after_work(), id="results: reset after"),
        pytest.param(writes_of(b"barrier-"), do.status(408), id="barrier: 408"),
        pytest.param(writes_of(b"report.json"), do.status(503), id="report: 503"),
        pytest.param(writes_of(b"summary.json"), broken.truncated(), id="summary: half an answer"),
        pytest.param(when.both(when.method("DELETE"), WRITES), broken.reset(), id="lease's release: reset before"),
    ],
)
async def test_an_outage_of_eight_seconds_ends_no_run(nursery: trio.Nursery, begins: When, fault: Do) -> None:
    async with open_world(nursery, CONFIG, latency=QUICK, emulator=BINARY) as world:
        assert world.storage
        outage = Outage(begins)
        world.storage.script.append(Fault(outage, fault))
        outcome = await world.run_job(env={"RUN_ID": "night", "RUNS_URI": world.runs_uri})
        assert outage.began is not None
        assert (outcome.finished["outcome"], outcome.exit_code) == ("succeeded", 0), outcome.stdout
        assert "unrecorded" not in outcome.finished
        assert outcome.finished["cards"]["generated"] == len(world.qa.requests) == PLANNED
        recorded = await objects(world)
        assert {"night/report.json", "night/summary.json", "night/report.html", "night/cards.csv"} <= recorded.keys()

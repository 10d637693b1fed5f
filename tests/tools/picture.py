"""`make picture`: the README's picture of a run's page, of a real run among the simulators with some trouble in it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import trio

from tests.simulators import do, when
from tests.simulators.engines import varied
from tests.simulators.job import ROOT
from tests.simulators.service import Fault
from tests.simulators.world import World, open_world
from tests.support.browser import CHROMIUM, open_browser
from tests.tools.run_local import SAMPLE

PICTURE = ROOT / "tests" / "tools" / "run.png"
DAY = "2026-11-24"
RUN_ID = f"cards-{DAY}"
SIZE = (1200, 1400)


def main() -> int:
    """Makes the picture again."""
    if CHROMIUM is None:
        print("there is no chromium: apt-get install chromium", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as runs, open_browser() as browser:
        trio.run(_night, runs)
        browser.open(Path(runs) / RUN_ID / "report.html", *SIZE)
        PICTURE.parent.mkdir(exist_ok=True)
        browser.screenshot(PICTURE)
    print(PICTURE)
    return 0


async def _night(runs: str) -> None:
    config = {path.name: path.read_bytes() for path in sorted(SAMPLE.glob("*.json"))}
    async with trio.open_nursery() as nursery, open_world(nursery, config) as world:
        world.financial.latency = varied(1.5, per_ticker=0.4)
        world.trading.latency = varied(2.5, per_ticker=0.5)
        world.news.latency = varied(3.5)
        world.qa.latency = varied(6.0)
        _trouble(world)
        variables = {"RUNS_URI": runs, "RUN_ID": RUN_ID, "RUN_DATE": DAY, "GOOGLE_CLOUD_PROJECT": "cards"}
        outcome = await world.run_job(env=variables, seconds=120)
        assert outcome.exit_code == 3, outcome.stdout + outcome.stderr


def _trouble(world: World) -> None:
    world.trading.script.append(Fault(when.nth(2), do.status(503, after=1.0)))
    world.news.script.append(Fault(when.nth(3), do.status(503, after=1.5)))
    refusal = {"status": "failed", "error": "the model declined to give an outlook"}
    refused = when.both(when.ticker("TSLA"), when.card("outlook_card"))
    world.qa.script.append(Fault(refused, do.body(refusal)))
    world.qa.script.append(Fault(when.nth(20, 21), do.status(503, after=2.0)))


if __name__ == "__main__":
    sys.exit(main())

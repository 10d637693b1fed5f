"""A table of all cards lies beside the report."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
import trio

from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.service import Fault
from tests.simulators.storage import emulator_binary
from tests.simulators.world import open_world
from tests.support.places import objects
from tests.support.runs import run

pytestmark = pytest.mark.slow
CONFIG: dict[str, object] = {
    "ticker_list.json": [f"T{number}" for number in range(6)],
    "card_types.json": ["news_card", "价格", "risk_card"],
}


@pytest.mark.parametrize("emulator", [None, pytest.param(emulator_binary(), marks=pytest.mark.needs("emulator"))])
async def test_the_table_of_the_cards_lies_beside_the_report_and_adds_up_with_it(
    nursery: trio.Nursery, emulator: Path | None
) -> None:
    async with open_world(nursery, CONFIG, latency=steady(0.02), emulator=emulator) as world:
        world.qa.script.append(Fault(when.card("价格"), do.body({"status": "failed", "error": "no"})))
        await run(world, 3, {"RUNS_URI": world.runs_uri, "RUN_ID": "night"})
        found = await objects(world)
        report, table = json.loads(found["night/report.json"]), found["night/cards.csv"].decode("utf-8-sig")
        rows = list(csv.DictReader(table.splitlines()))
        states = Counter(row["state"] for row in rows)
        assert states == {"made": report["cards"]["generated"], "failed": report["cards"]["failed"]} == {
            "made": 12,
            "failed": 6,
        }  # fmt: skip
        assert {row["attempts"] for row in rows if row["state"] == "failed"} == {"2"}
        assert {row["kind"] for row in rows} == {"equity"}
        link = "https://storage.cloud.google.com/" if emulator else "cards.csv"
        assert f'href="{link}'.encode() in found["night/report.html"]
        ended = await world.run_job(
            ("report", "night", "--csv", str(world.directory / "again.csv")), env={"RUNS_URI": world.runs_uri}
        )
        assert ended.exit_code == 0
        assert (world.directory / "again.csv").read_bytes() == found["night/cards.csv"]

"""A run of 100,000 cards fits into half of the memory that a task has by default, and so does what reads a million."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest
import trio
from job.report.inputs import RunInputs, pack
from pydantic_core import to_json

from job.config.environment import read_settings
from job.planning.prepare import prepare
from job.records.journal import Journal
from job.report.format import entry_of
from tests.support.results import result_of
from tests.support.stores import Memory
from tests.tools.bench.measure import Load, engine_of, run_process

LIMIT = 256 * 2**20
"""Bytes."""


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.needs("linux")
def test_100_000_cards_and_their_record_fit_into_256_mib(tmp_path: Path) -> None:
    load = Load(10_000, 10, 64, 0.005)
    load.configure(tmp_path)
    output = tmp_path / "output"
    with engine_of(load, tmp_path) as (_, own):
        environment = own | {"RUN_ID": "night"}
        for generated in (load.calls, 0):
            ended = run_process(("job", "run"), environment, output)
            last = json.loads(output.read_bytes().splitlines()[-1])
            assert (ended.code, last["outcome"]) == (0, "succeeded")
            assert last["cards"]["generated"] == generated
            assert last["cards"]["skipped"] == load.calls - generated
            assert ended.peak <= LIMIT


MILLION = Load(50_000, 20, 64, 0.005)
LEFT = 3
"""Cards that the killed run has not recorded."""


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.needs("linux")
def test_a_million_recorded_cards_are_resumed_and_reported_within_300_mib(tmp_path: Path) -> None:
    MILLION.configure(tmp_path)
    output = tmp_path / "output"
    _killed_run(tmp_path)
    with engine_of(MILLION, tmp_path) as (_, environment):
        for command in ("resume", "report"):
            ended = run_process(("job", command, "night"), environment, output)
            assert ended.code == 0, output.read_bytes()[-2000:]
            assert ended.peak <= 300 * 2**20, command
            assert ended.cpu <= 20, command
            if command == "resume":
                last = json.loads(output.read_bytes().splitlines()[-1])
                assert (last["cards"]["generated"], last["cards"]["skipped"]) == (LEFT, MILLION.calls - LEFT)
    assert b"Everything was done: 1,000,000 of 1,000,000 cards are there." in output.read_bytes()


def _killed_run(directory: Path) -> None:
    """The record of a run that was killed shortly before its end, as fast runs write it: 1,100 results an object."""
    variables = {"CONFIG_URI": str(directory), "QA_ENGINE_URL": "http://127.0.0.1:1", "RUN_DATE": "2026-11-24"}
    now = datetime.now(UTC) - timedelta(minutes=10)
    settings, _ = read_settings(variables, now)
    prepared = trio.run(prepare, settings, [])
    inputs = RunInputs.of(settings, "night", prepared, now)
    runs = directory / "runs"
    common = json.loads(result_of(next(prepared.plan.calls("qa")), traceparent="0" * 55, limit=64).line())
    journal = Journal(Memory(), "night", "killed", lambda _: None)
    objects = {"night/inputs.json": pack(inputs), entry_of("night", inputs.started): b"{}\n"}
    for number, (target, card_type) in enumerate(islice(prepared.plan.items("qa"), MILLION.calls - LEFT)):
        ended = now.timestamp() + number / 2600
        own = {"targets": [target], "card_type": card_type, "started": ended - 0.02, "ended": ended}
        journal._pending.append(to_json(common | own))
        if number % 1100 == 1099:
            chunk = journal._next_chunk()
            objects[chunk.name] = chunk.data
    chunk = journal._next_chunk()
    objects[chunk.name] = chunk.data
    for name, data in objects.items():
        (runs / name).parent.mkdir(parents=True, exist_ok=True)
        (runs / name).write_bytes(data)

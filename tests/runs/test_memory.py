"""A day of 30,000 cards, or of a million, fits into a fraction of the memory that a task has by default."""

import json
import time
from itertools import islice
from pathlib import Path

import pytest
import trio
from pydantic_core import to_json

from job.config.environment import Options, read_settings
from job.config.read import PlannedConfig, read_config
from job.day.attempt import Attempt, Start, attempt_name
from job.records.record import Journal
from tests.support.altered import STEPS
from tests.support.records import DAY, NOW
from tests.support.results import result_of
from tests.support.stores import Memory
from tests.tools.bench.measure import Load, engine_of, run_process

KIB, MIB = 2**10, 2**20
RUN = ("run", f"--date={DAY}", "--yes")
pytestmark = [pytest.mark.slow, pytest.mark.needs("linux")]


@pytest.mark.timeout(600)
def test_thousands_of_cards_and_a_second_start_take_little_memory(tmp_path: Path) -> None:
    load = Load(3_000, 10, 64, 0.005)
    load.configure(tmp_path)
    output = tmp_path / "output"
    with engine_of(load, tmp_path) as (engine, environment):
        used = []
        for _ in range(2):
            ended = run_process(("job", *RUN), environment, output)
            last = json.loads(output.read_bytes().splitlines()[-1])
            assert (ended.code, last["cards"]["done"]) == (0, load.calls)
            assert ended.peak <= 120 * MIB
            used.append(ended.cpu)
        assert used[1] <= used[0] / 10, "seconds of CPU"
        assert json.loads(engine.communicate()[0])["calls"] == load.calls, "the second start calls nothing"


MILLION = Load(50_000, 20, 64, 0.005)
LEFT = 3
"""Cards that the killed start has not recorded."""


@pytest.mark.timeout(900)
def test_a_million_recorded_cards_are_gone_on_with_and_reported(tmp_path: Path) -> None:
    MILLION.configure(tmp_path)
    output = tmp_path / "output"
    began = time.process_time()
    _killed_start(tmp_path)
    to_write = time.process_time() - began
    steps = tmp_path / "steps"
    with engine_of(MILLION, tmp_path) as (engine, environment):
        for command in (RUN, RUN, ("report", DAY)):
            ended = run_process(("job", *command), environment, output, STEPS.format(file=str(steps)))
            assert ended.code == 0, output.read_bytes()[-2000:]
            assert ended.peak <= 64 * MIB + MILLION.calls * 1.2 * KIB, command
            assert ended.cpu <= 7 * to_write, "seconds of CPU"
            assert command != RUN or float(steps.read_text()) <= to_write / 10, "CPU of one step"
        assert json.loads(engine.communicate()[0])["calls"] == LEFT
    assert b"All 1,000,000 cards are made" in output.read_bytes()


def _killed_start(directory: Path) -> None:
    """The record of a start that was killed shortly before its end, as fast ones write it: 1,100 results an object."""
    settings, _ = read_settings({"CONFIG_URI": str(directory), "QA_ENGINE_URL": "http://127.0.0.1:1"})
    request = Options(settings, [], NOW, 0.0)
    prepared: PlannedConfig = trio.run(read_config, request, DAY)
    plan = prepared.plan
    attempt = Attempt(
        **{**Start.of(request, settings.days()).model_dump(), **dict(plan.settings), "day": DAY, "number": 1},
        owner="killed",
        objects={name: stored.data.decode() for name, stored in prepared.objects.items()},
        plan=plan.digest(),
        cards=plan.count("qa"),
    )
    common = json.loads(result_of(next(plan.calls("qa")), traceparent="0" * 55, limit=64).line())
    journal = Journal(Memory(), DAY, 1, plan.digest(), lambda _: None)
    objects = {attempt_name(DAY, 1): attempt.to_json()}
    for number, item in enumerate(islice(plan.items("qa"), MILLION.calls - LEFT)):
        ended = NOW.timestamp() + number / 2600
        own = {"targets": [item.target], "card_type": item.card_type, "started": ended - 0.02, "ended": ended}
        journal._pending.append(to_json(common | own))
        if number % 1100 == 1099:
            chunk = journal._next_chunk()
            objects[chunk.name] = chunk.data
    chunk = journal._next_chunk()
    objects[chunk.name] = chunk.data
    for name, data in objects.items():
        path = directory / "runs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

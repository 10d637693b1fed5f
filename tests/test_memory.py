"""A run of 100,000 cards, and the reading of its record, fit into half of the memory that a task has by default."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .bench.measure import _MAXRSS_UNIT, Load, _engine, _environment, _run

LIMIT = 256


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_100_000_cards_and_their_record_fit_into_256_mib(tmp_path: Path) -> None:
    load = Load(10_000, 10, 64, 0.005)
    load.configure(tmp_path)
    with _engine(load.latency) as engine:
        assert engine.stdout is not None
        environment = _environment(load, tmp_path, int(engine.stdout.readline())) | {"RUN_ID": "night"}
        for generated in (load.calls, 0):
            output = tmp_path / "output"
            code, usage = _run(("job", "run"), environment, output)
            last = json.loads(output.read_bytes().splitlines()[-1])
            assert (code, last["outcome"]) == (0, "succeeded")
            assert last["cards"]["generated"] == generated
            assert last["cards"]["skipped"] == load.calls - generated
            assert usage.ru_maxrss * _MAXRSS_UNIT / 2**20 <= LIMIT

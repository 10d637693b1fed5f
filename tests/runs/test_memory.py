"""A run of 100,000 cards, and the reading of its record, fit into half of the memory that a task has by default."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.support.altered import ACCOUNT, altered
from tests.tools.bench.measure import Load, _engine, _environment, _run

LIMIT = 256
"""MiB."""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="measured from Linux's account of the process")
def test_100_000_cards_and_their_record_fit_into_256_mib(tmp_path: Path) -> None:
    load = Load(10_000, 10, 64, 0.005)
    load.configure(tmp_path)
    account, output = tmp_path / "account", tmp_path / "output"
    with _engine(load.latency) as engine:
        assert engine.stdout is not None
        environment = _environment(load, tmp_path, int(engine.stdout.readline())) | {"RUN_ID": "night"}
        environment |= altered(tmp_path, ACCOUNT.format(file=str(account)))
        for generated in (load.calls, 0):
            account.unlink(missing_ok=True)
            code, _ = _run(("job", "run"), environment, output)
            last = json.loads(output.read_bytes().splitlines()[-1])
            assert (code, last["outcome"]) == (0, "succeeded")
            assert last["cards"]["generated"] == generated
            assert last["cards"]["skipped"] == load.calls - generated
            assert _peak(account.read_text()) <= LIMIT


def _peak(account: str) -> float:
    found = re.search(r"^VmHWM:\s+(\d+) kB$", account, re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024

"""The crossing of the barrier is recorded only once every data item is done."""

from __future__ import annotations

import pytest

from job.engines.catalog import DATA_ENGINES, DataEngineName
from job.ledger.ledger import Ledger
from job.records.record import Record
from job.report.inputs import RunInputs
from tests.support.fakes import plan_of, settings_of, target
from tests.support.results import result_of
from tests.support.stores import Memory

INPUTS = RunInputs(
    run_id="night",
    started="2026-11-24T02:00:03+00:00",
    day="2026-11-24",
    date=None,
    batch_sizes={},
    config_uri="gs://cards/config",
    objects={},
    version="1.0.0",
)


@pytest.mark.parametrize("engine", DATA_ENGINES)
async def test_the_crossing_is_not_recorded_while_one_item_of_an_engine_is_open(engine: DataEngineName) -> None:
    ledger, store = Ledger(plan_of([target("A"), target("B")], settings_of())), Memory()
    for other in DATA_ENGINES:
        for call in ledger.plan.calls(other):
            if targets := tuple(name for name in call.targets if other != engine or name == "A"):
                ledger.add(result_of(call, targets=targets))
    assert [(one, item.target) for one in DATA_ENGINES for item in ledger.items[one].missing()] == [(engine, "B")]
    record = Record(store, ledger, INPUTS, "owner", lambda _: None)
    with pytest.raises(AssertionError, match="the barrier is closed"):
        await record.mark_barrier()
    assert store.asked == []

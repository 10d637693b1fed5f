"""A run whose configuration cannot be used leaves a report, and whoever resumes it gets a clear answer."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio

from job.config.faults import Fault
from job.records.refusal import not_resumable
from job.records.session import resuming
from job.report.format import RecordError
from job.storage.uri import open_store
from job.text.messages import Message
from tests.support.records import Recorded, refused, write


def test_a_run_whose_config_was_faulty_is_not_reported_as_unrecorded(tmp_path: Path) -> None:
    refused(tmp_path, "night", [Fault("a.json", Message("is not JSON"), Message("correct it"))], datetime.now(UTC))
    error = trio.run(not_resumable, open_store(str(tmp_path)), str(tmp_path), "night")
    assert str(error.faults[0]) == (
        "RUNS_URI: has nothing of run night but the faults of its config, for which nothing was called; "
        f"`RUNS_URI={tmp_path} python -m job report night` lists them; correct them and start a new run"
    )
    assert str(error.ending.sentence).endswith("its config was faulty, so it called nothing. Start a new run.")
    error = trio.run(not_resumable, open_store(str(tmp_path)), str(tmp_path), "other")
    assert str(error.faults[0].remedy) == f"`RUNS_URI={tmp_path} python -m job runs` lists what is recorded there"
    assert "it has no record" in str(error.ending.sentence)


def test_an_altered_report_is_named_to_whoever_resumes(tmp_path: Path) -> None:
    write(tmp_path, **{"night/report.json": b"{}"})
    with pytest.raises(RecordError, match=r"night/report\.json is not what a run writes"):
        trio.run(not_resumable, open_store(str(tmp_path)), str(tmp_path), "night")


def test_a_new_config_that_is_the_recorded_one_is_said_to_be_the_same(tmp_path: Path) -> None:
    inputs = Recorded(config_uri=str(tmp_path)).inputs

    async def said(*, new_config: bool) -> str:
        return str(await resuming(inputs, inputs, new_config=new_config))

    same = f"resuming run night of 2026-11-24: the config at {tmp_path} is the same as the recorded one"
    assert trio.run(lambda: said(new_config=True)) == same
    write(tmp_path, **{name: text.encode() for name, text in Recorded().contents.items()})
    assert "with its recorded config; later changes do not apply" in trio.run(lambda: said(new_config=False))
    (tmp_path / "ticker_list.json").write_text('["A"]')
    assert "has changed since. To resume with the config as it is now: " in trio.run(lambda: said(new_config=False))

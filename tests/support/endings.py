"""Reports of runs that have ended, without a run."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from job.ledger.ledger import Ledger
from job.report.inputs import without_plan
from job.report.report import AttemptSummary, report_of
from tests.support.records import Recorded

if TYPE_CHECKING:
    from job.report.inputs import RunInputs
    from job.report.outcome import Ending
    from job.report.report import RunReport


def nothing_called() -> Ledger:
    """The ledger of a run that called nothing."""
    return Ledger(without_plan())


def report_at(ending: Ending, ledger: Ledger | None = None, inputs: RunInputs | None = None, **more: Any) -> RunReport:
    """The report of an attempt that ended like this. It called nothing unless it has a ledger."""
    ledger, inputs = ledger or nothing_called(), inputs or Recorded().inputs
    attempt = AttemptSummary.of(ending, inputs, datetime.fromisoformat(inputs.started), 1.0, ledger.set_aside)
    return report_of(inputs, ledger, [attempt], instead=ending.instead, **more)

"""End of a run, as its message needs it."""

from collections.abc import Sequence
from dataclasses import dataclass

from job.config.faults import Fault
from job.execution.outcome import UNFORESEEN, Outcome
from job.execution.progress import RunProgress
from job.execution.request import RunRequest
from job.records.commands import again_command, start_command
from job.records.comparison import Comparison
from job.records.inputs import RunInputs
from job.records.report import RunReport
from job.records.results import CallResult


@dataclass(slots=True)
class RunEnd:
    """How an attempt at a run ended, with everything that its message needs."""

    request: RunRequest
    outcome: Outcome = UNFORESEEN
    progress: RunProgress | None = None
    inputs: RunInputs | None = None
    """The recorded inputs, if the run had a record before this attempt."""
    report: RunReport | None = None
    """The report of all attempts; `None` if the run is not recorded, or if it ended before there was one."""
    has_page: bool = False
    """Whether the run's page is written."""
    recorded: Sequence[CallResult] = ()
    """The failures of all attempts, if the run is recorded."""
    comparison: Comparison | None = None
    """The comparison with the night before; `None` if there is none."""
    faults: Sequence[Fault] = ()
    """The faults of the configuration."""

    @property
    def failures(self) -> Sequence[CallResult]:
        """The calls that failed: of all attempts if they are recorded, else of this one."""
        if self.report is not None or self.progress is None:
            return self.recorded
        return [CallResult.of(event, 0.0) for event in self.progress.failures]

    @property
    def day(self) -> str:
        """The day that the run is for."""
        settings, known = self.request.settings, self.report or self.inputs
        return known.day if known else settings.day_of(self.request.now)

    @property
    def command(self) -> str:
        """The command that resumes the run or its twin, or that starts it again if there is nothing to resume."""
        resume = self.report.resume_command if self.report else self.outcome.instead
        return resume or self.new_run or again_command(self.request.settings, self.request.arguments)

    @property
    def new_run(self) -> str | None:
        """The command that starts a new run for the day of one that cannot be resumed, or only on that day."""
        if self.report is not None:
            return self.report.start_command
        if self.inputs is not None and self.inputs.other_day(self.request.now) is not None:
            return start_command(self.inputs)
        return None

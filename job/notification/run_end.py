"""End of a run, as its message needs it."""

from collections.abc import Sequence
from dataclasses import dataclass

from job.config.faults import Fault
from job.execution.outcome import UNFORESEEN, Outcome
from job.execution.progress import RunProgress
from job.execution.request import RunRequest
from job.records.commands import again_command, resume_command, start_command
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
    def failures_not_listed(self) -> int:
        """How many more failed."""
        if self.report is not None:
            return self.report.failures_not_listed
        return self.progress.failed_calls - len(self.progress.failures) if self.progress is not None else 0

    @property
    def day(self) -> str:
        """The day that the run is for."""
        settings, known = self.request.settings, self.report or self.inputs
        return known.day if known else settings.day_of(self.request.now)

    @property
    def command(self) -> str:
        """The command that resumes the run, or that starts it again if there is nothing to resume."""
        if self.outcome.instead is not None:
            return self.outcome.instead.command
        return self.resume or self.new_run or again_command(self.request.settings, self.request.arguments)

    @property
    def resume(self) -> str | None:
        """The command that resumes the run, if it has a record, or may have one that could not be read.

        A new run would make its cards again. `None` also if this attempt was a resume, which is then repeated.
        """
        request, settings = self.request, self.request.settings
        if self.report is not None:
            return self.report.resume_command
        if request.resume:
            return None
        if self.inputs is not None:
            return None if self.inputs.other_day(request.now) else resume_command(self.inputs)
        is_unread = self.outcome.word in {"no_lease", "interrupted"} and settings.runs_uri is not None
        is_retry = settings.task_attempt > 0
        return again_command(settings, ["resume", request.identity.id]) if is_unread and is_retry else None

    @property
    def new_run(self) -> str | None:
        """The command that starts a new run for the day of one that cannot be resumed, or only on that day."""
        if self.report is not None:
            return self.report.start_command
        if self.inputs is not None and self.inputs.other_day(self.request.now) is not None:
            return start_command(self.inputs)
        return None

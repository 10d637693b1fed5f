"""Commands that do a run: `run`, `resume` and `remake`."""

import trio

from job.execution.request import RunRequest
from job.orchestrator import Reporter, run
from job.report.outcome import ExitCode
from job.reporting.cloud_log import CloudLogReporter
from job.text.messages import translator


def run_command(request: RunRequest) -> ExitCode:
    """Does a run, reported as LOG_FORMAT says."""
    return trio.run(run, request, _reporter(request))


def _reporter(request: RunRequest) -> Reporter:
    if request.settings.log_format == "json":
        return CloudLogReporter(request.identity, request.settings.project)
    from job.reporting.terminal import TerminalReporter  # noqa: PLC0415  rich takes 0.05 s to import

    return TerminalReporter(request.identity, translator(request.settings.language))

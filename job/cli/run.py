"""Commands that do a run: `run`, `resume` and `remake`."""

import os

import trio

from job.execution.request import RunRequest
from job.orchestrator import Reporter, run
from job.report.outcome import ExitCode
from job.reporting.cloud_log import CloudLogReporter
from job.reporting.stdout import STDOUT
from job.text.messages import translator


def run_command(request: RunRequest) -> ExitCode:
    """Does a run, reported on the terminal if there is one, else as log lines."""
    return trio.run(run, request, _reporter(request))


def _reporter(request: RunRequest) -> Reporter:
    if not os.isatty(STDOUT):
        return CloudLogReporter(request.identity, request.settings.project)
    from job.reporting.terminal import TerminalReporter  # noqa: PLC0415  rich takes 0.05 s to import

    return TerminalReporter(request.identity, translator(request.settings.language))

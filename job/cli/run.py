"""Command `run`: makes the cards of a day exist."""

import gc

import trio

from job.orchestrator import run
from job.planning.request import RunRequest
from job.report.outcome import ExitCode
from job.reporting.cloud_log import CloudLogReporter
from job.reporting.reporter import Reporter
from job.text.messages import translator

GARBAGE = 20_000
"""How many objects may be added before Python looks for cycles, which calls rarely leave: 4 % of their CPU time."""


def run_command(request: RunRequest) -> ExitCode:
    """Does what is missing of a day, reported as LOG_FORMAT says."""
    gc.set_threshold(GARBAGE)
    return trio.run(run, request, _reporter(request))


def _reporter(request: RunRequest) -> Reporter:
    if request.settings.log_format == "json":
        return CloudLogReporter(request.settings.project)
    from job.reporting.terminal import TerminalReporter  # noqa: PLC0415  rich takes 0.05 s to import

    return TerminalReporter(translator(request.settings.language))

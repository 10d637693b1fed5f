"""Commands that do a run: `run` and `resume`."""

import os
from datetime import datetime

import trio

from job.config.environment import Settings
from job.config.faults import Fault
from job.engines.identity import RunIdentity, new_run_id
from job.execution.request import RunRequest
from job.orchestrator import Reporter, run
from job.report.outcome import ExitCode
from job.reporting.cloud_log import CloudLogReporter
from job.reporting.stdout import STDOUT
from job.text.messages import translator


def run_command(
    settings: Settings, faults: list[Fault], now: datetime, started: float, *, resume: bool, new_config: bool = False
) -> ExitCode:
    """Does a run, reported on the terminal if there is one, else as log lines."""
    identity = RunIdentity(settings.run_id or new_run_id(now))
    request = RunRequest(settings, faults, identity, now, started, resume, new_config)
    return trio.run(run, request, _reporter(settings, identity))


def _reporter(settings: Settings, identity: RunIdentity) -> Reporter:
    if not os.isatty(STDOUT):
        return CloudLogReporter(identity, settings.project)
    from job.reporting.terminal import TerminalReporter  # noqa: PLC0415  rich takes 0.05 s to import

    return TerminalReporter(identity, translator(settings.language))

"""Command `run`: makes the cards of a day exist."""

import gc

import trio

from job.config.environment import Options
from job.day.attempt import ExitCode
from job.orchestrator import run
from job.outputs.log import CloudLog, Reporter
from job.text.messages import translator

GARBAGE = 20_000
"""How many objects may be added before Python looks for cycles, which calls rarely leave: 4 % of their CPU time."""


def run_command(options: Options) -> ExitCode:
    """Does what is missing of a day, reported as LOG_FORMAT says."""
    gc.set_threshold(GARBAGE)
    if options.settings.log_format == "json":
        return trio.run(run, options, Reporter(CloudLog()))
    from job.outputs.terminal import Terminal  # noqa: PLC0415  rich takes 0.05 s to import

    return trio.run(run, options, Reporter(Terminal(translator(options.settings.language))))

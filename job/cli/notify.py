"""Command `notify`: sends a test message."""

from functools import partial

import trio

from job.config.environment import Settings
from job.config.faults import Fault
from job.execution.outcome import ExitCode
from job.notification.sender import SECONDS, Notifier
from job.notification.text import trial_fields, trial_lines
from job.reporting.stdout import say, say_error


def notify_command(settings: Settings) -> ExitCode:
    """Sends a test message to NOTIFY_URL, and prints in one line whether it was accepted."""
    notifier = Notifier(settings)
    if notifier.hook is None:
        unset = Fault("NOTIFY_URL", "is not set", "set it to the https URL of an incoming webhook")
        say_error(settings.notify_fault or unset)
        return ExitCode.USAGE
    problem = trio.run(notifier.send_lines, trial_lines(settings), partial(trial_fields, settings), SECONDS)
    say(f"✗ {problem}" if problem else f"✓ {notifier.hook.channel.title} has taken the message")
    return ExitCode.FAILED if problem else ExitCode.DONE

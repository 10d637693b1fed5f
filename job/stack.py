"""The one error of a failed run, as Error Reporting takes it: once a run, with a real stack, never once a card."""

import traceback
from typing import NoReturn

from job.exits import Exit
from job.markup import shortened
from job.outcome import Outcome
from job.version import VERSION

_TYPE = "type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent"
STACK_LIMIT = 20_000
"""Characters, of the stack's end: an entry of Cloud Logging has 256 KiB at the most."""
SENTENCE_LIMIT = 2_000


class RunFailedError(Exception):
    """A run did not do all that it was to do."""


def error_report(outcome: Outcome) -> dict[str, object]:
    """The fields that make a log line an error; none where the run did its work, or where the error is out already."""
    if outcome.exit in {Exit.DONE, Exit.UNFORESEEN}:  # the traceback of a bug is on standard error
        return {}
    return {
        "@type": _TYPE,
        "serviceContext": {"service": "batch-orchestrator", "version": VERSION},
        "stack_trace": _stack(outcome),
    }


def _stack(outcome: Outcome) -> str:
    if outcome.error is not None:
        return _cut(outcome.error)
    try:
        _fail(outcome)
    except RunFailedError as error:
        return _cut(error)


def _fail(outcome: Outcome) -> NoReturn:
    raise RunFailedError(shortened(outcome.sentence, SENTENCE_LIMIT))


def _cut(error: Exception) -> str:
    """The beginning tells a stack, the end tells the error."""
    lines = "".join(traceback.format_exception(error))
    if len(lines) <= STACK_LIMIT:
        return lines
    return f"{lines[: STACK_LIMIT // 2]}…\n…{lines[-STACK_LIMIT // 2 :]}"

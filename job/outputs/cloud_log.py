"""Log for programs: JSON lines on standard output, as Cloud Logging reads them."""

import json
from datetime import UTC, datetime

from pydantic_core import to_json

from job.day.view import View
from job.execution.progress import Progress
from job.outputs.log import TEXT_LIMIT, LogLine
from job.outputs.stdout import OutputQueue
from job.text.display import shortened
from job.text.messages import ENGLISH


class CloudLog:
    """Writes a line for each event. A line that cannot be written (closed pipe, full disk) does not stop the run.

    A slow reader does not delay the run: while 8 MiB of lines wait for it, lines about single calls are dropped, and
    the last line has their number.
    """

    translator = ENGLISH

    def __init__(self) -> None:
        self.output = OutputQueue()

    def write(self, line: LogLine) -> None:
        """Writes a line."""
        if not line.may_be_dropped or self.output.has_room():
            self.output.write(as_json(line) + b"\n")

    def begin(self, progress: Progress) -> None:
        """Draws nothing."""

    def end(self, view: View) -> None:
        """The last line says it."""


def as_json(line: LogLine) -> bytes:
    """A line of the log, of this moment."""
    entry = {
        "severity": line.severity,
        "message": shortened(str(line.words), TEXT_LIMIT),
        "event": line.event,
        "time": datetime.now(UTC).isoformat(),
        **line.fields,
    }
    try:
        return to_json(entry)
    except ValueError:  # a lone surrogate, such as in the name of a file
        return json.dumps(entry, ensure_ascii=False).encode(errors="replace")

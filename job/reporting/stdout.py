"""reporting.stdout."""

import os
import select

STDOUT = 1


def write_line(line: bytes) -> None:
    """A line on standard output, whole and at once: nothing is lost if the process is killed after it."""
    rest = line + b"\n"
    while rest:
        try:
            rest = rest[os.write(STDOUT, rest) :]
        except BlockingIOError:  # a pipe is non-blocking where another process that holds it wants it so
            select.select([], [STDOUT], [])
        except OSError:
            return


def say(line: str) -> None:
    write_line(line.encode(errors="replace"))

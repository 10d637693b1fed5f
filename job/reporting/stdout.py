"""Standard output: a line, whole and at once."""

import os
import select

STDOUT = 1


def write_line(line: bytes) -> None:
    """Writes a line whole and at once: nothing is lost if the process is killed after it."""
    rest = line + b"\n"
    while rest:
        try:
            rest = rest[os.write(STDOUT, rest) :]
        except BlockingIOError:  # another process that holds the pipe made it non-blocking
            select.select([], [STDOUT], [])
        except OSError:
            return


def say(line: str) -> None:
    """Writes a line of text. Characters that cannot be encoded are replaced."""
    write_line(line.encode(errors="replace"))

"""Standard output and standard error: written at once by commands, and by a thread of its own for a run."""

import io
import os
import select
import sys
import threading
import time
from queue import SimpleQueue

import trio

from job.text.display import printable

STDOUT = 1
STDERR = 2
QUEUE_BYTES = 8 * 2**20
BATCH_BYTES = 64 * 2**10
PAUSE_SECONDS = 0.02
"""Between two writes, to gather lines: every write takes the interpreter from the event loop for a moment."""


def write_line(line: bytes) -> None:
    """Writes a line whole, however long that takes. A reader that has left, or a full disk, is no error."""
    _write(STDOUT, line + b"\n")


def say(text: object) -> None:
    """Writes a line for people to standard output. What a terminal could obey is replaced."""
    write_line(printable(text).encode())


def say_error(text: object) -> None:
    """Writes a line for people to standard error, as `say` does."""
    _write(STDERR, printable(text).encode() + b"\n")


class OutputQueue:
    """Writes to standard output from a thread of its own, in order. Its caller never waits for a reader.

    It takes everything, so look at `is_full` before you hand in what may be dropped. What may not be dropped has to be
    little: nothing else limits it.
    """

    def __init__(self) -> None:
        self._waiting: SimpleQueue[bytes | threading.Event] = SimpleQueue()
        # Two counters, each changed by one thread at a time (rich has a lock of its own), need no lock.
        self._taken = 0
        self._written = 0
        self._thread: threading.Thread | None = None

    @property
    def is_behind(self) -> bool:
        """Whether something waits to be written."""
        return self._written < self._taken

    @property
    def is_full(self) -> bool:
        """Whether 8 MiB or more wait to be written."""
        return self._taken - self._written >= QUEUE_BYTES

    def write(self, data: bytes) -> None:
        """Takes whole lines. A kill of the process loses only what is not written yet."""
        self._taken += len(data)
        self._put(data)

    async def drain(self, seconds: float) -> None:
        """Waits until all that was taken so far is written, or so many seconds have passed."""
        reached = threading.Event()
        self._put(reached)
        with trio.move_on_after(seconds):
            await trio.to_thread.run_sync(reached.wait, seconds, abandon_on_cancel=True)

    def _put(self, item: bytes | threading.Event) -> None:
        if self._thread is None:  # only now: most commands do no run
            # A daemon: one that waits for a reader must not keep the process from ending.
            self._thread = threading.Thread(target=self._work, name="output", daemon=True)
            self._thread.start()
        self._waiting.put(item)

    def _work(self) -> None:
        while True:
            item = self._waiting.get()
            batch = bytearray()
            while isinstance(item, bytes):
                batch += item
                if len(batch) >= BATCH_BYTES or self._waiting.empty():
                    break
                item = self._waiting.get()
            _write(STDOUT, batch)
            self._written += len(batch)
            if isinstance(item, threading.Event):
                item.set()
            time.sleep(PAUSE_SECONDS)


def queued_text(output: OutputQueue) -> io.TextIOWrapper:
    """Standard output as a text file whose writes go to the queue, in the encoding of the terminal."""
    # A terminal that cannot show a character must not stop the run.
    encoding = getattr(sys.stdout, "encoding", None)
    return io.TextIOWrapper(_QueuedFile(output), encoding, errors="replace", newline="")


class _QueuedFile(io.BufferedIOBase):
    name = STDOUT

    def __init__(self, output: OutputQueue) -> None:
        self._output = output

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(STDOUT)

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        self._output.write(bytes(data))
        return len(data)


def _write(descriptor: int, data: bytes | bytearray) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # another process that shares the pipe made it non-blocking
            select.select([], [descriptor], [])
        except OSError:
            return

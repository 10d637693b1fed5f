"""Standard output and standard error: commands write directly, a run through a thread."""

import io
import os
import select
import sys
import threading
import time
from queue import SimpleQueue

import trio

from job.text.shown import printable

STDOUT = 1
STDERR = 2
BATCH_BYTES = 64 * 2**10
PAUSE_SECONDS = 0.02
"""Pause between two writes, in which lines are collected: each write holds up the event loop for a moment."""


def write_line(line: bytes) -> None:
    """Writes a whole line; blocks as long as that takes. Ignores a closed pipe and a full disk."""
    _write(STDOUT, line + b"\n")


def say(text: object) -> None:
    """Writes a line for people to standard output. Replaces control characters."""
    write_line(printable(text).encode())


def say_error(text: object) -> None:
    """Writes a line for people to standard error, as `say` does."""
    _write(STDERR, printable(text).encode() + b"\n")


class OutputQueue:
    """Writes to standard output from a thread of its own, in order. `write` never blocks, and takes any amount."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[bytes | threading.Event] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def write(self, data: bytes) -> None:
        """Adds whole lines. If the process is killed, only lines that are not written yet are lost."""
        self._put(data)

    async def drain(self, seconds: float) -> None:
        """Waits until all data so far is written, at most `seconds`."""
        reached = threading.Event()
        self._put(reached)
        with trio.move_on_after(seconds):
            await trio.to_thread.run_sync(reached.wait, seconds, abandon_on_cancel=True)

    def _put(self, item: bytes | threading.Event) -> None:
        if self._thread is None:  # started at the first write, as most commands do not use it
            # A daemon thread: if it blocks on a slow reader, it must not keep the process from exiting.
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
            if isinstance(item, threading.Event):
                item.set()
            time.sleep(PAUSE_SECONDS)


class QueuedText(io.TextIOBase):
    """Standard output as a text file that writes to the queue, in the encoding of the terminal."""

    def __init__(self, output: OutputQueue) -> None:
        self._output = output
        self._encoding = getattr(sys.stdout, "encoding", None) or "utf-8"

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return os.isatty(STDOUT)

    def write(self, text: str) -> int:
        # A character that the encoding lacks is replaced, and does not stop the run.
        self._output.write(text.encode(self._encoding, "replace"))
        return len(text)


def _write(descriptor: int, data: bytes | bytearray) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # another process that shares the pipe made it non-blocking
            select.select([], [descriptor], [])
        except OSError:
            return

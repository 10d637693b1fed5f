"""The real job as a process of its own: started, signalled, read, always reaped."""

import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

ROOT = Path(__file__).resolve().parents[2]
"""The checkout in which `python -m job` is run."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run that is over."""

    exit_code: int
    """Negative: killed by that signal."""
    lines: list[dict[str, Any]]
    """The lines of stdout that are JSON objects."""
    stdout: str
    """Under a terminal: everything, stderr included, control sequences and all."""
    stderr: str
    seconds: float

    @property
    def finished(self) -> dict[str, Any]:
        """The closing line, `run.finished`; fails if the job ended without one, or with more than one."""
        found = self.events("run.finished")
        assert len(found) == 1, f"{len(found)} closing lines in:\n{self.stdout}\n{self.stderr}"
        return found[0]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The lines of this event, in their order."""
        return [line for line in self.lines if line.get("event") == name]


@dataclass
class Job:
    """A run in progress."""

    process: trio.Process
    started: float
    _stdout: bytearray = field(default_factory=bytearray)
    _stderr: bytearray = field(default_factory=bytearray)
    _changed: trio.Event = field(default_factory=trio.Event)
    _over: trio.Event = field(default_factory=trio.Event)
    _seconds: float = 0.0

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON objects on stdout so far, whole lines only."""
        parsed = (_object(line) for line in bytes(self._stdout).split(b"\n")[:-1])
        return [line for line in parsed if line is not None]

    def send_signal(self, number: signal.Signals) -> None:
        """Signals the process itself; does nothing if it is over already."""
        self.process.send_signal(number)

    async def kill(self) -> None:
        """Kills it and waits until it is reaped; does nothing if it is over already."""
        self.process.kill()
        await self._over.wait()

    async def seen(self, event: str) -> dict[str, Any]:
        """Waits for the first line of this event; fails if the job ends without it."""
        while True:
            for line in self.lines:
                if line.get("event") == event:
                    return line
            assert not self._over.is_set(), f"no {event} in:\n{self._stdout.decode()}\n{self._stderr.decode()}"
            await self._changed.wait()

    async def outcome(self) -> Outcome:
        """Waits for the end of the process and of its output."""
        await self._over.wait()
        code = self.process.returncode
        assert code is not None
        out, err = (data.decode(errors="replace") for data in (self._stdout, self._stderr))
        return Outcome(code, self.lines, out, err, self._seconds)

    async def _read(self, stream: trio.abc.ReceiveStream, into: bytearray, start: trio.Event | None = None) -> None:
        async with stream:
            if start is not None:
                await start.wait()
            with contextlib.suppress(trio.BrokenResourceError):  # a pseudo-terminal ends with an error
                async for data in stream:
                    into += data
                    self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def _attend(self, terminal: trio.abc.ReceiveStream | None, reading: trio.Event | None) -> None:
        """Collects all output; kills the process if it is itself cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                if terminal:
                    nursery.start_soon(self._read, terminal, self._stdout, reading)
                else:
                    assert self.process.stdout is not None
                    assert self.process.stderr is not None
                    nursery.start_soon(self._read, self.process.stdout, self._stdout, reading)
                    nursery.start_soon(self._read, self.process.stderr, self._stderr)
                await self.process.wait()
                self._seconds = time.monotonic() - self.started
                if reading is not None:
                    reading.set()
        finally:
            if self.process.returncode is None:
                self.process.kill()
                with trio.CancelScope(shield=True):
                    await self.process.wait()
            self._over.set()
            self._change()


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


async def start_job(
    nursery: trio.Nursery,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    terminal: bool = False,
    reading: trio.Event | None = None,
) -> Job:
    """Starts `python -m job …` with this environment and nothing else; it is killed if the nursery is cancelled.

    Its output is log lines. With `terminal` it is text, and goes to a pseudo-terminal of 120 columns and 40 rows. With
    `reading`, nobody reads it before that event or its own end, and a pipe is as small as the system makes them.
    """
    command = [sys.executable, "-m", "job", *arguments]
    environment = {"LOG_FORMAT": "text" if terminal else "json", **environment}
    started = time.monotonic()
    given, output, screen = subprocess.DEVNULL, subprocess.PIPE, None
    if terminal:
        ours, given = pty.openpty()
        fcntl.ioctl(given, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        output, screen = given, trio.lowlevel.FdStream(ours)
        environment |= {"TERM": "xterm-256color"}
    process = await trio.lowlevel.open_process(
        command, env=environment, cwd=ROOT, stdin=given, stdout=output, stderr=output
    )
    if terminal:
        os.close(given)
    elif reading is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
        assert isinstance(process.stdout, trio.lowlevel.FdStream)
        fcntl.fcntl(process.stdout.fileno(), fcntl.F_SETPIPE_SZ, 4096)
    job = Job(process, started)
    nursery.start_soon(job._attend, screen, reading)
    return job

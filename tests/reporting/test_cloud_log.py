"""Every line of the log is whole and none is lost, whatever standard output is."""

from __future__ import annotations

import os
import threading

import pytest

from job.reporting import stdout


def test_a_full_pipe_that_does_not_block_loses_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    monkeypatch.setattr(stdout, "STDOUT", writing)
    lines = [b"%04d" % number + b"x" * 5_000 for number in range(100)]  # more than a pipe holds, each more than a page

    def write() -> None:
        for line in lines:
            stdout.write_line(line)
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    writer.join(0.1)  # the pipe is full by then
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read().splitlines() == lines
    writer.join()

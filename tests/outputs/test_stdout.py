"""What is printed is complete, in order and free of control characters; nothing else waits for a slow reader."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from job.outputs import stdout
from job.outputs.stdout import OutputQueue, QueuedText, say, say_error, write_line

LINES = [b"%04d" % number + b"x" * 5_000 + b"\n" for number in range(100)]
"""More than a pipe holds, each more than a page."""


@contextmanager
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A standard output of its own; what is yielded is the other end."""
    reading, writing = os.pipe()
    monkeypatch.setattr(stdout, "STDOUT", writing)
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


def received(reading: int, size: int) -> bytes:
    """This many bytes from the pipe."""
    data = b""
    while len(data) < size:
        data += os.read(reading, size - len(data))
    return data


def test_a_full_pipe_that_does_not_block_loses_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pipe(monkeypatch) as reading:
        os.set_blocking(stdout.STDOUT, False)

        def write() -> None:
            for line in LINES:
                write_line(line.rstrip())

        writer = threading.Thread(target=write)
        writer.start()
        writer.join(0.1)  # the pipe is full by then
        assert received(reading, sum(map(len, LINES))) == b"".join(LINES)
        writer.join()


async def test_the_queue_takes_more_than_its_reader_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pipe(monkeypatch) as reading:
        output = OutputQueue()
        for line in LINES:
            output.write(line)
        assert received(reading, sum(map(len, LINES))) == b"".join(LINES)
        await output.drain(5.0)


async def test_without_a_reader_the_queue_drains_in_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr(stdout, "STDOUT", writing)
    output = OutputQueue()
    output.write(b"x" * 2**20)
    started = time.monotonic()
    await output.drain(0.2)
    assert 0.2 <= time.monotonic() - started < 30
    os.close(reading)  # the rest is thrown away
    await output.drain(60.0)
    os.close(writing)


def test_a_text_file_writes_to_the_queue_what_its_encoding_can_show(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gbk:
        encoding = "gbk"

    monkeypatch.setattr(sys, "stdout", Gbk())
    with pipe(monkeypatch) as reading:
        text = QueuedText(OutputQueue())
        text.write("美联储 ✗\n")
        expected = "美联储 ?\n".encode("gbk")
        assert received(reading, len(expected)) == expected


DANGEROUS = "\x1b]0;owned\x07\x1b[2J \x9b2J \u202e\u2066\u200e\u200f\u061c \ud800 \r\x00"


def test_control_characters_are_printed_as_text(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    say(f"a{DANGEROUS}b")
    say_error(ValueError(DANGEROUS))
    for shown in capfdbinary.readouterr():
        assert shown.decode().removesuffix("\n").isprintable()
        assert "]0;owned" in shown.decode()

"""What holds for the commands: an environment without the caller's variables."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from job.cli.main import main
from job.execution.shutdown import SIGNALS

Command = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if re.match(r"CLOUD_RUN_|GOOGLE_|CONFIG_URI|RUN|\w+_ENGINE_|IMPERSONATE|NOTIFY|REPORT_|LOG_|START_WITH", name):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _signal_handlers() -> Iterator[None]:
    """Restores the signal handlers of the tests, as a run leaves its own in place."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Sets variables and runs a command; returns its exit code, and the lines on standard output and standard error."""

    def run(*arguments: object, **variables: str) -> tuple[int, list[str], list[str]]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        code = main([*map(str, arguments)])
        out, err = capfd.readouterr()
        return code, out.splitlines(), err.splitlines()

    return run


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where days are recorded."""
    place = tmp_path / "runs"
    place.mkdir()
    monkeypatch.setenv("RUNS_URI", str(place))
    return place

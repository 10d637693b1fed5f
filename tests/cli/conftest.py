"""What holds for the commands: they are given on a morning in Shanghai, the second after DAY."""

import signal
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from job.cli.main import main
from job.execution.shutdown import SIGNALS

At = Callable[[str], None]
TODAY = "2026-11-26"
Command = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture(autouse=True)
def at(monkeypatch: pytest.MonkeyPatch) -> At:
    """Sets the time, in Shanghai, at which commands are given from now on."""

    def move(moment: str) -> None:
        now = datetime.fromisoformat(f"{moment}+08:00")
        monkeypatch.setattr("job.cli.main.datetime", type("Frozen", (), {"now": staticmethod(now.astimezone)}))

    move(f"{TODAY}T09:00")
    return move


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

"""What holds for all tests."""

import fcntl
import os
import signal
from collections import Counter
from collections.abc import Generator, Iterator
from inspect import iscoroutinefunction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import environment
from tests.support.needs import NEEDS, required
from tests.support.virtual_time import in_virtual_time

# The same examples every time, on any machine: a test that fails today and passes tomorrow proves nothing.
settings.register_profile(
    "project", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("project")

environment.clear()
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # under nohup; a process that a test starts would ignore it too
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

REQUIRED = required(os.environ.get("REQUIRE", ""))
DOOR = Path(__file__)
ROOM = DOOR.with_name("__init__.py")
"""Two files that every pytest of this checkout locks. Nobody writes to them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test is in virtual time also if only its module or another of its fixtures uses `autojump_clock`."""
    for item in items:
        if (
            isinstance(item, pytest.Function)
            and "autojump_clock" in item.fixturenames
            and iscoroutinefunction(item.obj)
        ):
            item.add_marker(pytest.mark.trio(run=in_virtual_time), append=False)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test marked `alone` runs while no other does. The wait does not count towards its time limit."""
    with DOOR.open("rb") as at_the_door, ROOM.open("rb") as inside:
        fcntl.flock(at_the_door, fcntl.LOCK_EX)  # one waits here, and the others behind it: nobody overtakes
        fcntl.flock(inside, fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH)
        fcntl.flock(at_the_door, fcntl.LOCK_UN)
        return (yield)


@pytest.fixture(autouse=True)
def _no_bug_unseen(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The job writes a bug to standard error, and ends in order: a test that means none fails, whatever it looks at."""
    yield
    assert not [one for one in caplog.get_records("call") if one.name.startswith("job.") and one.exc_info]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that cannot run here is skipped; it has failed if REQUIRE names all that it lacks."""
    lacking = [name for mark in item.iter_markers("needs") for name in mark.args if not NEEDS[name].is_there()]
    if lacking and REQUIRED.issuperset(lacking):
        pytest.fail("; ".join(f"needs {name}: {NEEDS[name].remedy}" for name in lacking), pytrace=False)
    if lacking:
        pytest.skip(lacking[0])  # noqa: TID251  the one place


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """All that was skipped, and how to have it, in one line."""
    lacking = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.getreports("skipped"))
    if lacking:
        parts = (f"{count} without {name} ({NEEDS[name].remedy})" for name, count in sorted(lacking.items()))
        terminalreporter.write_line(f"Skipped: {'; '.join(parts)}")

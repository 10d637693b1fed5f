"""Another time for the tests: `CLOCK=2028-02-29T23:59:30Z PYTEST_ADDOPTS='-p tests.clock.sitecustomize' make test`.

It is that of `datetime.now` and `date.today`, for the job, its tests, and Google's look at how old Python is. Python
imports this module first in every process that is started from here. Whatever goes by `time.time` stays real: the ages
of files, leases and tokens, TLS, and when a call began and ended.
"""

import datetime
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

OFFSET = "CLOCK_OFFSET"
MOVED = ("job.", "tests.", "google.api_core._python_version_support")


def move(seconds: float) -> None:
    """Moves the time by so much, here and in every process that is started from here."""
    start: Any = subprocess.Popen.__init__

    class Moment(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
            return cls.fromtimestamp(now(sys._getframe(1).f_globals), tz)

    class Day(datetime.date):
        @classmethod
        def today(cls) -> datetime.date:  # type: ignore[override]
            return cls.fromtimestamp(now(sys._getframe(1).f_globals))

    def now(asker: dict[str, Any]) -> float:
        asked_by_us = str(asker.get("__name__")).startswith(MOVED)
        return time.time() + (seconds if asked_by_us else 0.0)  # noqa: TID251  it is the real one that is moved

    def start_moved(process: subprocess.Popen[Any], *arguments: Any, env: Any = None, **more: Any) -> None:
        given = os.environ if env is None else env
        path = os.pathsep.join(filter(None, (str(Path(__file__).parent), given.get("PYTHONPATH"))))
        start(process, *arguments, env={**given, OFFSET: str(seconds), "PYTHONPATH": path}, **more)

    vars(datetime).update(datetime=Moment, date=Day)
    subprocess.Popen.__init__ = start_moved  # type: ignore[assignment, method-assign]


if datetime.datetime.__module__ == "datetime":  # else Python has imported this already
    offset = os.environ.get(OFFSET)
    moment = datetime.datetime.fromisoformat(os.environ["CLOCK"]).timestamp() if offset is None else 0.0
    move(moment - time.time() if offset is None else float(offset))  # noqa: TID251  it is the real one that is moved

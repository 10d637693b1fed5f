"""The real job with one thing changed that no variable changes: a shorter lease, a clock that jumps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulators.job import ROOT

if TYPE_CHECKING:
    from pathlib import Path

# The lease lasts 3 s, is renewed every half second, watched five times a second, and trusted for 1.5 s.
SHORT_LEASE = """
from job.records import lease
lease.LASTS_SECONDS, lease.RENEW_SECONDS, lease.RETRY_SECONDS, lease.TRUSTED_SECONDS = 3.0, 0.5, 0.2, 1.5
lease.WATCH_SECONDS = 0.2
"""

# The lease is renewed every second, watched twice a second, and lasts as long as ever.
EAGER_LEASE = """
from job.records import lease
lease.RENEW_SECONDS, lease.WATCH_SECONDS = 1.0, 0.5
"""

# From the moment that a file exists the machine has been suspended for an hour: Linux counts that in one clock only.
SUSPENDED = """
import os, time
true_gettime = time.clock_gettime
def gettime(clock):
    return true_gettime(clock) + (3600 if clock == time.CLOCK_BOOTTIME and os.path.exists({flag!r}) else 0)
time.clock_gettime = gettime
"""

# An operation on a bucket is given up after a second.
SHORT_PATIENCE = """
from job.storage import gcs
gcs._ONCE["timeout"], gcs._RETRY = 1.0, gcs._RETRY.with_timeout(1.0)
"""

# From the moment that a file exists the wall clock is an hour late, a day early, and so on, at every look another.
MAD_CLOCK = """
import datetime, itertools, os, time
jumps = itertools.cycle([-3600, 86400, 0, 400 * 86400, -10 * 86400])
true_time, true_datetime = time.time, datetime.datetime
def jump():
    return next(jumps) if os.path.exists({flag!r}) else 0
class Mad(true_datetime):
    @classmethod
    def now(cls, tz=None):
        return true_datetime.fromtimestamp(true_time() + jump(), tz)
    @classmethod
    def utcnow(cls):
        return cls.now(datetime.timezone.utc).replace(tzinfo=None)
time.time = lambda: true_time() + jump()
datetime.datetime = Mad
"""

# While a file exists, nothing can be made durable.
FULL_DISK = """
import os
true_fsync = os.fsync
def fsync(descriptor):
    if os.path.exists({flag!r}):
        raise OSError(28, "No space left on device")
    true_fsync(descriptor)
os.fsync = fsync
"""

# No file can be larger than so many bytes: the kernel itself refuses.
SMALL_FILES = """
import resource, sys
sys.dont_write_bytecode = True  # Python would leave half a module's bytecode, for all later processes
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
"""

# Linux's account of the process, its peak of memory (`VmHWM`) among the rest, is in a file when it has ended.
# `ru_maxrss` would not do: a process that was just started has that of its parent.
ACCOUNT = """
import atexit, os
def account():
    if os.path.exists("/proc/self/status"):
        with open("/proc/self/status") as status, open({file!r}, "w") as file:
            file.write(status.read())
atexit.register(account)
"""


def altered(directory: Path, *changes: str) -> dict[str, str]:
    """The variable with which a job process makes these changes to itself before it does anything else."""
    place = directory / "altered"
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text("\n".join([f"import sys\nsys.path.insert(0, {str(ROOT)!r})", *changes]))
    return {"PYTHONPATH": str(place)}

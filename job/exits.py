"""What the exit code of a run says."""

from enum import IntEnum


class Exit(IntEnum):
    """The codes are a contract with schedulers and people: they are never given another meaning."""

    DONE = 0
    ENGINE_FAILED = 1
    """A data engine failed: no card was asked for."""
    USAGE = 2
    """Configuration or usage is wrong: nothing was called."""
    CARDS_MISSING = 3
    DEADLINE = 4
    """The run's own deadline passed; the same run can be continued."""
    UNFORESEEN = 70
    """A bug (`EX_SOFTWARE` of sysexits.h); its traceback is on standard error."""
    BUSY = 75
    """Another run is alive, or the lease was not to be had or was lost (`EX_TEMPFAIL`)."""
    SIGINT = 130
    SIGTERM = 143

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
    UNFORESEEN = 70
    """A bug (`EX_SOFTWARE` of sysexits.h); its traceback is on standard error."""
    SIGINT = 130
    SIGTERM = 143

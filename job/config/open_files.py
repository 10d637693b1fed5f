"""Open files: how many this process may have, since every call in flight needs one."""

import resource
from contextlib import suppress
from math import inf

SPARE = 64
"""Files of the process that are no calls in flight: standard streams, storage, tokens, the event loop's own."""


def raise_limit() -> None:
    """Raises the limit of open files as far as a process may by itself."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS has a lower limit than the one that it reports
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def limit() -> float:
    """How many files the process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return inf if soft == resource.RLIM_INFINITY else soft

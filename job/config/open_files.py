"""Open files: the process's limit of open files. Every call in flight needs one."""

import resource
from contextlib import suppress
from math import inf

SPARE = 64
"""Open files that are not calls in flight: standard streams, storage, tokens, the event loop's own."""


def raise_limit() -> None:
    """Raises the soft limit of open files to the hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS allows less than the hard limit that it reports
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def limit() -> float:
    """How many files the process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return inf if soft == resource.RLIM_INFINITY else soft

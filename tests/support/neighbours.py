"""Which tests run at the same time, in whatever process: a test of time or memory has no neighbours."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DOOR = Path(__file__)
ROOM = DOOR.with_name("__init__.py")
"""Two files that every pytest of this checkout locks. Nobody writes to them."""
IS_INNER = "PYTEST_CURRENT_TEST" in os.environ
"""Whether a test started this pytest. Then that test has taken its place already."""


@contextmanager
def in_the_room(door: Path, room: Path, *, alone: bool) -> Iterator[None]:
    """Waits until this test may run, alone or among others, and keeps its place while it does."""
    with door.open("rb") as at_the_door, room.open("rb") as inside:
        fcntl.flock(at_the_door, fcntl.LOCK_EX)  # one waits here, and the others behind it: nobody overtakes
        fcntl.flock(inside, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(at_the_door, fcntl.LOCK_UN)
        yield

"""Identity: the values by which a request identifies the run and the version of the job."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import count
from pathlib import Path

from job import __version__

VERSION = __version__


def _commit() -> str | None:
    """The commit that the image was built from, from a file that the build writes; `None` without one."""
    try:
        return Path(__file__).parents[1].joinpath("COMMIT").read_text(encoding="ascii").strip() or None
    except OSError:
        return None


COMMIT = _commit()


def new_run_id(now: datetime) -> str:
    """An id for a run without RUN_ID. Ids sort by time."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


# Starts at a random number, so that processes of one run have different spans. A random span per call would cost 5 µs.
_SPANS = count(secrets.randbits(63) | 1)


@dataclass(frozen=True)
class RunIdentity:
    """A run as the engines see it. The trace id is derived from the run id, so that all attempts at a run share it."""

    id: str

    @cached_property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return hashlib.sha256(f"trace {self.id}".encode()).hexdigest()[:32]

    def traceparent(self) -> str:
        """A header value with a new span. Each call has one, for all its attempts."""
        return f"00-{self.trace_id}-{next(_SPANS):016x}-01"

    def idempotency_key(self, *call: bytes, remake: int = 0) -> str:
        """The key of a call: the same for all its attempts in this run, in any process; different for any other call.

        `call` is the call's fingerprint, which identifies it in the run. A request to make its items again has another
        key: else an engine that honours keys would return what it has made before. `remake` is its number.
        """
        again = (f"remake {remake}".encode(),) if remake else ()
        return hashlib.sha256(b"\0".join((self.id.encode(), *call, *again))).hexdigest()[:32]


USER_AGENT = f"batch-orchestrator/{VERSION}" + (f" (commit {COMMIT})" if COMMIT else "")

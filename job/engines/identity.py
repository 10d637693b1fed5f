"""Identity: the values by which a request identifies the day and the version of the job."""

import hashlib
import secrets
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from job import __version__

VERSION = __version__


_BUILT_FROM = Path(__file__).parents[1] / "COMMIT"  # the build writes it
COMMIT = (_BUILT_FROM.read_text(encoding="ascii").strip() or None) if _BUILT_FROM.is_file() else None


def new_trace_id() -> str:
    return secrets.token_hex(16)


# Starts at a random number, so that processes of one day have different spans. A random span per call would cost 5 µs.
_SPANS = count(secrets.randbits(63) | 1)


@dataclass(frozen=True, slots=True)
class RunIdentity:
    trace_id: str

    def traceparent(self) -> str:
        """A header value with a new span. Each call has one, for all its tries."""
        return f"00-{self.trace_id}-{next(_SPANS):016x}-01"

    def idempotency_key(self, *call: bytes, rerun: int = 0) -> str:
        """The key of a call: the same for all its tries for this day, in any process; different for any other call.

        `call` is the call's fingerprint. A request to make its items again has another key: else an engine that honours
        keys would return what it has made before. `rerun` is its number.
        """
        number = (f"again {rerun}".encode(),) if rerun else ()
        return hashlib.sha256(b"\0".join((self.trace_id.encode(), *call, *number))).hexdigest()[:32]


USER_AGENT = f"batch-orchestrator/{VERSION}" + (f" (commit {COMMIT})" if COMMIT else "")

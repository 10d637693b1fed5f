"""What names a run and its calls to others: W3C trace context, idempotency keys, the User-Agent."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from job import version
from job.engines import Call


def new_run_id(now: datetime) -> str:
    """An id for a run that was given none: it sorts by time."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


@dataclass(frozen=True)
class Run:
    """A run as others see it. The trace follows from the id, so that all attempts at one run share it."""

    id: str

    @cached_property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return hashlib.sha256(f"trace {self.id}".encode()).hexdigest()[:32]

    def traceparent(self) -> str:
        """A header value with a span of its own: one a call, the same for all its attempts."""
        return f"00-{self.trace_id}-{secrets.token_hex(8)}-01"

    def idempotency_key(self, call: Call, method: str) -> str:
        """The same for every attempt at this call in this run, in any process; another for any other call or run."""
        parts = (self.id.encode(), method.encode(), call.engine.encode(), call.path.encode(), call.body or b"")
        return hashlib.sha256(b"\0".join(parts)).hexdigest()[:32]


USER_AGENT = f"batch-orchestrator/{version.VERSION}" + (f" (commit {version.COMMIT})" if version.COMMIT else "")

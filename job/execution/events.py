"""Events: what happens to the calls of a run. Their handlers are the ledger, the journal and the reporter."""

from collections.abc import Callable
from dataclasses import dataclass

from job.engines.calls import Call
from job.ledger.ledger import SetAside
from job.ledger.result import CallResult
from job.text.messages import Message


@dataclass(frozen=True, slots=True)
class CallRetried:
    """An attempt failed, and another one follows after `wait` seconds. `limit` is the engine's concurrency limit."""

    call: Call
    reason: Message
    wait: float
    limit: int
    traceparent: str


Event = CallResult | CallRetried | SetAside
EventHandler = Callable[[Event], None]

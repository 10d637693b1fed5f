"""Rate limit of new connections: a token bucket for the whole process."""

import trio

BURST = 256
PER_SECOND = 450.0
"""A TLS handshake takes up to 1.4 ms of CPU: thousands at once would take longer than a connection may."""


class RateLimiter:
    """A token bucket: it holds `burst` tokens, and gets `per_second` more while it is not full.

    Tokens are handed out in the order in which they were asked for. One that is not used is lost.
    """

    def __init__(self, burst: int = BURST, per_second: float = PER_SECOND) -> None:
        self._interval = 1 / per_second
        self._capacity = burst * self._interval
        self._full_at = float("-inf")
        """When the bucket is full again."""

    def reserve(self) -> float:
        """Takes a token. Returns when it may be used, by trio's clock: not in the future if the bucket has it."""
        self._full_at = max(self._full_at, trio.current_time()) + self._interval
        return self._full_at - self._capacity

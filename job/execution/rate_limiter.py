"""Rate limiter for new connections: a token bucket for the whole process."""

import trio

BURST = 256
PER_SECOND = 450.0
"""A TLS handshake takes up to 1.4 ms of CPU: thousands at once would exceed the connect timeout."""


class RateLimiter:
    """A token bucket: it holds up to `burst` tokens, and gets `per_second` tokens each second while it is not full.

    Tokens are reserved in the order of the calls. A token that is not used is lost.
    """

    def __init__(self, burst: int = BURST, per_second: float = PER_SECOND) -> None:
        self._interval = 1 / per_second
        self._capacity = burst * self._interval
        self._full_at = float("-inf")
        """When the bucket is full again."""

    def reserve(self) -> float:
        """Reserves a token. Returns from when it may be used, by trio's clock; the past if a token is available now."""
        self._full_at = max(self._full_at, trio.current_time()) + self._interval
        return self._full_at - self._capacity

"""The four engines as services: tokens checked in front, latency, then what the contract says."""

import random
import ssl

from tests.simulators.contract import CONTRACTS
from tests.simulators.seen import Seen
from tests.simulators.service import Latency, Service
from tests.simulators.tokens import Mint


def steady(seconds: float) -> Latency:
    """The same every time."""
    return lambda seen: 0.0 if seen.path == "/health" else seconds


def varied(median: float, per_ticker: float = 0.0, seed: int = 0) -> Latency:
    """Log-normal, as real services are; depends on the request and its attempt, not on the order of arrival."""

    def latency(seen: Seen) -> float:
        if seen.path == "/health":
            return 0.0
        draw = random.Random(f"{seed} {seen.attempt} {seen.target} {seen.body!r}").lognormvariate(0.0, 0.5)
        return draw * (median + per_ticker * len(seen.tickers))

    return latency


def engine(name: str, mint: Mint, seen: list[Seen], tls: ssl.SSLContext | None = None) -> Service:
    """One of the four, not started yet: checks tokens strictly, and answers forbidden requests like the real one."""
    service = Service(name, CONTRACTS[name], seen=seen, tls=tls)
    service.guard = mint.guard(lambda: service.url)
    return service

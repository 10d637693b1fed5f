"""What a call costs: the job beside the engine that answers it, so that a slow machine is slow for both."""

import pytest

from tests.tools.bench.measure import Load, measure

pytestmark = [pytest.mark.slow, pytest.mark.needs("linux"), pytest.mark.timeout(600)]


def test_a_call_costs_little() -> None:
    load, latency = Load(1000, 6, 1024, 0.02), 0.02
    start, took = measure(Load(1, 1, 1, latency)), measure(load)
    assert took.cpu - start.cpu <= 20 * took.engine_cpu, "11 times as much as a few lines of asyncio"
    assert took.peak <= 120 * 2**20


def test_4096_calls_are_in_flight_over_tls_without_a_retry() -> None:
    """Each at its first attempt and over one connection a worker, or `measure` fails."""
    measured = measure(Load(1366, 6, 4096, 8.0, tls=True))
    assert measured.connections == 4096
    assert measured.peak <= 350 * 2**20

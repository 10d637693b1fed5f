"""What a call costs: the job beside the script that it replaces, so that a slow machine is slow for both."""

import pytest

from tests.tools.bench.measure import Load, measure

LATENCY = 0.02
SCRIPT, ALONE = Load(200, 6, 64, LATENCY), Load(1, 1, 1, LATENCY)
"""What the script does, and a run that is little more than start-up."""
pytestmark = [pytest.mark.slow, pytest.mark.needs("linux"), pytest.mark.timeout(600)]


@pytest.mark.parametrize("in_flight", [64, 1024])
def test_a_call_costs_a_fraction_of_the_scripts(in_flight: int) -> None:
    loads = {"script": SCRIPT, "job": Load(1000, 6, in_flight, LATENCY)}
    took = {client: measure(client, load) for client, load in loads.items()}
    start = {client: measure(client, ALONE).cpu for client in loads}
    cpu = {client: (took[client].cpu - start[client]) / (load.calls - 1) for client, load in loads.items()}
    assert cpu["job"] <= 0.6 * cpu["script"], "a third on a quiet machine"
    assert took["job"].peak <= 120 * 2**20


def test_4096_calls_are_in_flight_over_tls_without_a_retry() -> None:
    """Each at its first attempt and over one connection a worker, or `measure` fails."""
    measured = measure("job", Load(1366, 6, 4096, 8.0, tls=True))
    assert measured.connections == 4096
    assert measured.peak <= 350 * 2**20

"""Config and record in a bucket: how often storage is asked, and how the job comes by its credentials."""

from collections import Counter
from collections.abc import AsyncIterator

import pytest
import trio

from job.config.objects import OBJECTS
from tests.simulators import do
from tests.simulators.seen import Seen
from tests.simulators.service import Fault
from tests.simulators.storage import emulator_binary
from tests.simulators.world import CONFIG_BUCKET, World, open_world
from tests.support.altered import altered
from tests.support.runs import QUICK, SMALL, run

pytestmark = [pytest.mark.slow, pytest.mark.needs("emulator")]

DEPLOYED = {"RUN_SCHEDULE": "0 0 * * *", "RUN_TIME_ZONE": "UTC"}
"""What Terraform sets: without both, the record is asked which night it is."""


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, SMALL, latency=QUICK, emulator=emulator_binary()) as opened:
        yield opened


def _kind(seen: Seen) -> str:
    """What a request asks of the bucket of records, in a word."""
    if seen.path.startswith("/upload/"):
        return "write"
    return "list" if seen.path.endswith("/o") else "read"


async def test_how_often_a_plain_start_asks_storage(world: World) -> None:
    """The writes of a first start: lease twice, attempt, both pages at its beginning and at the barrier, results before
    and after that, four documents, the end. A second one writes the lease twice, and both pages.

    How much of past nights is read meanwhile is up to chance. What is read takes two requests, if it is there.
    """
    for writes, lists, reads, cards in [(14, 4, 16, 2), (4, 5, 36, 0)]:
        world.forget()
        await run(world, 0, **DEPLOYED)
        assert world.storage is not None
        config = [seen for seen in world.storage.requests if CONFIG_BUCKET in seen.path]
        assert Counter(seen.path.rpartition("/")[2] for seen in config) == dict.fromkeys(OBJECTS, 1) | dict.fromkeys(
            SMALL, 2
        )
        asked = Counter(_kind(seen) for seen in world.storage.requests if CONFIG_BUCKET not in seen.path)
        assert asked["write"] <= writes
        assert asked["list"] <= lists
        assert asked["read"] <= reads
        assert len(world.qa.requests) == cards


def _with_credentials(world: World) -> dict[str, str | None]:
    """The bucket is at the emulator's address, and has to be asked with a token as Google's own."""
    assert world.storage is not None
    return {"STORAGE_EMULATOR_HOST": None, "API_ENDPOINT_OVERRIDE": world.storage.url}


def _token(seen: Seen) -> bool:
    return seen.path.endswith("/default/token")


async def test_all_requests_to_a_bucket_share_one_token(world: World) -> None:
    await run(world, 0, **_with_credentials(world))
    assert world.storage is not None
    assert {request.headers["authorization"] for request in world.storage.requests} == {"Bearer simulated"}
    tokens = [request for request in world.metadata.requests if _token(request)]
    assert len(tokens) == 2, "one for the bucket of the config, one for that of the records"


async def test_a_metadata_server_that_hangs_is_not_waited_for_long(world: World) -> None:
    world.metadata.script.append(Fault(_token, do.hang()))
    quick = altered(world.directory, "from job.storage import store\nstore.ANSWER_SECONDS = 2.0")
    outcome = await run(world, 75, **_with_credentials(world), **quick, GCE_METADATA_TIMEOUT="1")
    assert outcome.finished["detail"] == "RUNS_URI: storage did not answer in time"

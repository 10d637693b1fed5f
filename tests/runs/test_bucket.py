"""A config in a bucket is read like one in a directory; whatever prevents that is one fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from job.config.objects import OBJECTS
from tests.simulators import do, when
from tests.simulators.service import Fault
from tests.simulators.storage import emulator_binary
from tests.simulators.world import CONFIG_BUCKET, World, open_world
from tests.support.altered import SHORT_PATIENCE, altered
from tests.support.runs import QUICK, SMALL, asked_cards, run

if TYPE_CHECKING:
    from tests.simulators.seen import Seen

BINARY = emulator_binary()
pytestmark = pytest.mark.needs("emulator")
REMEDY = "see that it names gs://BUCKET/PREFIX or a directory, and that it can be read from here"


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, SMALL, latency=QUICK, emulator=BINARY or Path()) as opened:
        yield opened


async def test_a_run_reads_each_object_once_and_no_other(world: World) -> None:
    await run(world, 0)
    assert asked_cards(world) == {("AAPL", "news_card"): 1, ("MSFT", "news_card"): 1}
    assert world.storage is not None
    read = Counter(request.path.rpartition("/")[2] for request in world.storage.requests)
    assert read == dict.fromkeys(OBJECTS, 1) | {"ticker_list.json": 2, "card_types.json": 2}, (
        "the content of what is there"
    )
    assert {request.method for request in world.storage.requests} == {"GET"}


@pytest.mark.slow
async def test_a_server_that_is_not_cloud_storage_is_an_outage(world: World) -> None:
    """A proxy's page, a service on the wrong port: JSON, but of nobody's objects."""
    assert world.storage is not None
    world.storage.script.append(Fault(when.always, do.body({"status": "success"})))
    outcome = await run(world, 75, altered(world.directory, SHORT_PATIENCE))
    assert outcome.finished["message"].startswith("The config could not be read: CONFIG_URI: gs://")
    assert ": the answer is not Cloud Storage's (tried for " in outcome.finished["message"]


@pytest.mark.parametrize(
    ("uri", "what"),
    [
        ("gs://no-such-bucket/config", "gs://no-such-bucket: there is no such bucket"),
        pytest.param("gs://no-such-bucket", "gs://no-such-bucket: there is no such bucket", marks=pytest.mark.slow),
    ],
)
async def test_a_bucket_that_does_not_exist_is_one_fault(world: World, uri: str, what: str) -> None:
    outcome = await run(world, 2, CONFIG_URI=uri)
    assert [line["message"] for line in outcome.events("config.faulty")] == [f"CONFIG_URI: {what}; {REMEDY}"]


@pytest.mark.slow
async def test_a_prefix_without_objects_is_one_fault(world: World) -> None:
    outcome = await run(world, 2, CONFIG_URI=f"gs://{CONFIG_BUCKET}/other/")
    assert [line["where"] for line in outcome.events("config.faulty")] == ["ticker_list.json", "card_types.json"]


@pytest.mark.slow
@pytest.mark.parametrize("slashes", ["/config", "/config/", "/config//"])
async def test_slashes_at_the_end_of_the_prefix_do_not_matter(world: World, slashes: str) -> None:
    outcome = await world.run_job(("plan",), env={"CONFIG_URI": f"gs://{CONFIG_BUCKET}{slashes}"})
    assert outcome.exit_code == 0, outcome.stderr


@pytest.mark.slow
async def test_a_bucket_that_the_job_may_not_read_is_one_fault(world: World) -> None:
    assert world.storage is not None
    denied = {"error": {"code": 403, "message": "job@x does not have storage.objects.get access"}}
    world.storage.script.append(Fault(when.always, do.status(403, denied)))
    outcome = await run(world, 2)
    (fault,) = outcome.events("config.faulty")
    assert fault["where"] == "CONFIG_URI"
    assert "access is denied" in fault["what"]
    assert "storage.objects.get" in fault["what"]


@pytest.mark.slow
async def test_a_storage_that_recovers_does_not_fail_the_run(world: World) -> None:
    assert world.storage is not None
    world.storage.script.append(Fault(when.attempt(1), do.status(503)))
    await run(world, 0)


@pytest.mark.slow
async def test_an_object_that_is_far_too_large_is_not_read_to_its_end(world: World) -> None:
    await world.configure("llm_config.json", b"x" * 40_000_000)
    outcome = await run(world, 2)
    (fault,) = outcome.events("config.faulty")
    assert fault["message"] == "llm_config.json: is larger than 16 MiB; check that this is the right object"


@pytest.mark.slow
async def test_plan_reads_a_place_in_a_bucket(world: World) -> None:
    assert world.storage is not None
    unset: dict[str, str | None] = {**dict.fromkeys(world.environment()), "STORAGE_EMULATOR_HOST": world.storage.url}
    place = f"gs://{CONFIG_BUCKET}/config/"
    planned = await world.run_job(("plan", place, "--full"), env=unset)
    assert (planned.exit_code, planned.stderr) == (0, "")
    assert planned.stdout.splitlines()[-1] == "  MSFT (equity): financial 1, trading 1, news; news_card"

    await world.configure("tickers.json", [])
    faulty = await world.run_job(("plan", place), env=unset)
    what = "tickers.json: is no object that the job reads; correct its name or remove it\n"
    assert (faulty.exit_code, faulty.stdout, faulty.stderr) == (2, "", what)

    missing = await world.run_job(("plan", "gs://no-such-bucket/config"), env=unset)
    what = f"gs://no-such-bucket/config: gs://no-such-bucket: there is no such bucket; {REMEDY}\n"
    assert (missing.exit_code, missing.stdout, missing.stderr) == (75, "", what)


def _with_credentials(world: World) -> dict[str, str | None]:
    """The bucket is at the emulator's address, and has to be asked with a token as Google's own."""
    assert world.storage is not None
    return {"STORAGE_EMULATOR_HOST": None, "API_ENDPOINT_OVERRIDE": world.storage.url}


@pytest.mark.slow
async def test_all_requests_to_a_bucket_share_one_token(world: World) -> None:
    await run(world, 0, _with_credentials(world), RUNS_URI=world.runs_uri)
    assert world.storage is not None
    assert {request.headers["authorization"] for request in world.storage.requests} == {"Bearer simulated"}
    tokens = [request for request in world.metadata.requests if request.path.endswith("/default/token")]
    assert len(tokens) == 2, "one for the bucket of the config, one for that of the records"


@pytest.mark.slow
@pytest.mark.parametrize("hangs", ["", "/token"])
async def test_a_metadata_server_that_hangs_is_not_waited_for_long(world: World, hangs: str) -> None:
    world.metadata.script.append(Fault(lambda seen: seen.path.endswith(hangs), do.hang()))
    quick = altered(world.directory, "from job.storage import store\nstore.ANSWER_SECONDS = 4.0")
    outcome = await run(world, 75, {**_with_credentials(world), **quick, "GCE_METADATA_TIMEOUT": "1"})
    assert outcome.finished["message"] == (
        "The config could not be read: CONFIG_URI: storage did not answer within 4 s. Nothing was called."
    )
    assert outcome.seconds < 7


@pytest.mark.slow
async def test_no_credentials_are_one_fault(world: World) -> None:
    world.metadata.script.append(Fault(lambda seen: seen.path.endswith("/default/token"), do.status(404)))
    outcome = await run(world, 2, _with_credentials(world))
    (fault,) = outcome.events("config.faulty")
    assert fault["what"].startswith(f"gs://{CONFIG_BUCKET}: no credentials for Cloud Storage: ")


@pytest.mark.slow
async def test_credentials_that_cannot_be_read_are_an_outage(world: World) -> None:
    odd = do.raw_body(b"[]", "application/json")
    world.metadata.script.append(Fault(lambda seen: seen.path.endswith("/default/token"), odd))
    outcome = await run(world, 75, _with_credentials(world))
    assert f"gs://{CONFIG_BUCKET}: no credentials for Cloud Storage: " in outcome.finished["message"]


@pytest.mark.slow
async def test_a_config_that_is_saved_during_the_read_is_read_again(world: World) -> None:
    """If the object were taken for absent, every ticker would get every card."""
    await world.configure("card_types.json", ["news_card", "price_card"])
    targets = [{ticker: [card] for ticker in ("AAPL", "MSFT")} for card in ("news_card", "price_card")]
    await world.configure("card_targets.json", targets[0])
    assert world.storage is not None
    change = do.meanwhile(partial(world.configure, "card_targets.json", targets[1]))
    world.storage.script.append(Fault(_asks_targets, do.in_turn(change, do.nothing())))
    await run(world, 0)
    assert asked_cards(world) == {("AAPL", "price_card"): 1, ("MSFT", "price_card"): 1}


def _asks_targets(seen: Seen) -> bool:
    return seen.path.endswith("card_targets.json") and ("alt", "media") in seen.query

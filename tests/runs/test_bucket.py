"""A config in a bucket is read as one in a directory is; what keeps it from being read is said in one fault."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from job.config.objects import OBJECTS
from tests.simulators import do, when
from tests.simulators.service import Fault
from tests.simulators.storage import emulator_binary
from tests.simulators.world import CONFIG_BUCKET, World, open_world
from tests.support.runs import QUICK, SMALL, asked_cards, run

BINARY = emulator_binary()
pytestmark = pytest.mark.skipif(BINARY is None, reason="needs fake-gcs-server on PATH or in STORAGE_EMULATOR")
REMEDY = "see that it names gs://BUCKET/PREFIX or a directory, and that it can be read from here"


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, SMALL, latency=QUICK, emulator=BINARY or Path()) as opened:
        yield opened


async def test_a_run_reads_each_object_once_and_no_other(world: World) -> None:
    await run(world, 0)
    assert asked_cards(world) == {("AAPL", "news_card"): 1, ("MSFT", "news_card"): 1}
    assert world.storage is not None
    assert sorted(request.path.rpartition("/")[2] for request in world.storage.requests) == sorted(OBJECTS)
    assert {request.method for request in world.storage.requests} == {"GET"}


async def test_what_is_not_cloud_storage_is_one_fault(world: World) -> None:
    """A proxy's page, a service on the wrong port: JSON, but of nobody's objects."""
    assert world.storage is not None
    world.storage.script.append(Fault(when.always, do.body({"status": "success"})))
    outcome = await run(world, 2)
    (fault,) = outcome.events("config.faulty")
    assert fault["where"] == "CONFIG_URI"
    assert fault["what"].endswith(": the answer is not Cloud Storage's")


@pytest.mark.parametrize(
    ("uri", "what"),
    [
        ("gs://no-such-bucket/config", "gs://no-such-bucket: there is no such bucket"),
        ("gs://no-such-bucket", "gs://no-such-bucket: there is no such bucket"),
    ],
)
async def test_a_bucket_that_does_not_exist(world: World, uri: str, what: str) -> None:
    outcome = await run(world, 2, CONFIG_URI=uri)
    assert [line["message"] for line in outcome.events("config.faulty")] == [f"CONFIG_URI: {what}; {REMEDY}"]


async def test_a_prefix_under_which_nothing_is(world: World) -> None:
    outcome = await run(world, 2, CONFIG_URI=f"gs://{CONFIG_BUCKET}/other/")
    assert [line["where"] for line in outcome.events("config.faulty")] == ["ticker_list.json", "card_types.json"]


@pytest.mark.slow
@pytest.mark.parametrize("slashes", ["/config", "/config/", "/config//"])
async def test_slashes_at_the_end_of_the_prefix_do_not_matter(world: World, slashes: str) -> None:
    outcome = await world.run_job(("plan",), env={"CONFIG_URI": f"gs://{CONFIG_BUCKET}{slashes}"})
    assert outcome.exit_code == 0, outcome.stderr


async def test_a_bucket_that_the_job_may_not_read(world: World) -> None:
    assert world.storage is not None
    denied = {"error": {"code": 403, "message": "job@x does not have storage.objects.get access"}}
    world.storage.script.append(Fault(when.always, do.status(403, denied)))
    outcome = await run(world, 2)
    (fault,) = outcome.events("config.faulty")
    assert fault["where"] == "CONFIG_URI"
    assert "access is denied" in fault["what"]
    assert "storage.objects.get" in fault["what"]


@pytest.mark.slow
async def test_a_storage_that_recovers_costs_nothing(world: World) -> None:
    assert world.storage is not None
    world.storage.script.append(Fault(when.attempt(1), do.status(503)))
    await run(world, 0)


@pytest.mark.slow
async def test_an_object_that_is_far_too_large_is_not_read_to_its_end(world: World) -> None:
    await world.configure("llm_config.json", b"x" * 40_000_000)
    outcome = await run(world, 2)
    (fault,) = outcome.events("config.faulty")
    assert fault["message"] == "llm_config.json: is larger than 16 MiB; write the object that is meant"


async def test_a_plan_of_a_place_in_a_bucket(world: World) -> None:
    assert world.storage is not None
    unset: dict[str, str | None] = {**dict.fromkeys(world.environment()), "STORAGE_EMULATOR_HOST": world.storage.url}
    place = f"gs://{CONFIG_BUCKET}/config/"
    planned = await world.run_job(("plan", place), env=unset)
    assert (planned.exit_code, planned.stderr) == (0, "")
    assert planned.stdout.splitlines()[-1] == "  MSFT (equity): news_card"

    await world.configure("tickers.json", [])
    faulty = await world.run_job(("plan", place), env=unset)
    what = "tickers.json: is no object that the job reads; correct its name or remove it\n"
    assert (faulty.exit_code, faulty.stdout, faulty.stderr) == (2, "", what)

    missing = await world.run_job(("plan", "gs://no-such-bucket/config"), env=unset)
    what = f"gs://no-such-bucket/config: gs://no-such-bucket: there is no such bucket; {REMEDY}\n"
    assert (missing.exit_code, missing.stdout, missing.stderr) == (75, "", what)

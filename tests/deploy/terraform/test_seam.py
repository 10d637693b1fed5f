"""The real job, in the environment that Terraform plans for it, runs against the simulated engines."""

from pathlib import Path

import pytest
import trio

from tests.deploy.terraform.command import Terraform
from tests.deploy.terraform.sample import CONFIG, EVERYTHING, LITTLE, container, environment, resources
from tests.simulators.storage import emulator_binary
from tests.simulators.world import open_world
from tests.support.runs import QUICK, assert_clean

pytestmark = [pytest.mark.slow, pytest.mark.needs("terraform")]


async def test_the_job_runs_in_the_planned_environment(
    nursery: trio.Nursery, terraform: Terraform, own_root: Path
) -> None:
    config = {name: content.encode() for name, content in CONFIG.items()}
    async with open_world(nursery, config, latency=QUICK, emulator=emulator_binary()) as world:
        plan = await trio.to_thread.run_sync(terraform.plan, own_root, LITTLE | {"alerts": EVERYTHING["alerts"]})
        local = {f"{name.upper()}_ENGINE_URL": engine.url for name, engine in world.engines.items()}
        planned = environment(plan) | {"CLOUD_RUN_EXECUTION": "batch-orchestrator-x7k2p", **local}
        if world.emulator:
            for address, bucket in resources(plan, "google_storage_bucket").items():
                await world.emulator.create_bucket(bucket["name"])
                for one in resources(plan, "google_storage_bucket_object").values():
                    if address == "google_storage_bucket.config":
                        await world.emulator.put(bucket["name"], one["name"], one["content"].encode())
        else:  # the same in directories
            planned |= {"CONFIG_URI": world.config_uri, "RUNS_URI": world.runs_uri}

        outcome = await world.run_job(env=planned)
        assert outcome.exit_code == 0, outcome.stdout + outcome.stderr
        assert_clean(world, outcome)
        assert outcome.finished["cards"]["planned"] > 0

        watching = planned | environment(plan, "verify") | {"CLOUD_RUN_EXECUTION": "batch-orchestrator-verify-9q4zt"}
        watching |= {name: planned[name] for name in ("CONFIG_URI", "RUNS_URI")} | local
        outcome = await world.run_job(container(plan, "verify")["args"], env=watching)
        assert outcome.exit_code == 0, outcome.stdout + outcome.stderr

"""Thousands of calls cost little time and memory, and a million recorded cards fit into what a task may have."""

import re
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from signal import SIGTERM
from typing import NamedTuple

import pytest
import trio
import trustme

from job.config.environment import Options, read_settings
from job.config.read import read_config
from job.day.attempt import Attempt, Start
from job.records.objects import attempt_name
from job.records.record import Journal
from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.job import Outcome
from tests.simulators.service import Fault
from tests.simulators.world import World, open_world
from tests.support.altered import ACCOUNT, STEPS, altered
from tests.support.records import DAY, NOW, write
from tests.support.results import result_of
from tests.support.runs import NO_DATA
from tests.support.stores import Memory

KIB, MIB = 2**10, 2**20
RUN = ("run", f"--date={DAY}", "--yes")
pytestmark = [pytest.mark.slow, pytest.mark.needs("linux"), pytest.mark.timeout(900)]


class Took(NamedTuple):
    """What a process of the job has taken, and how it ended."""

    outcome: Outcome
    cpu: float
    """Seconds, user and system."""
    peak: int
    """Bytes of memory."""


@asynccontextmanager
async def loaded(
    nursery: trio.Nursery, tickers: int, card_types: int, latency: float, tls: ssl.SSLContext | None = None
) -> AsyncIterator[World]:
    """A world of cards alone, one call each, as the calls of data engines cost the same."""
    config = {
        "ticker_list.json": [f"{600000 + number}.SS" for number in range(tickers)],
        "card_types.json": [f"card_type_{number}" for number in range(card_types)],
        "engine_control.json": NO_DATA,
    }
    async with open_world(nursery, config, latency=steady(latency), tls=tls) as world:
        yield world


async def took(world: World, *arguments: str, change: str = "", **env: str) -> Took:
    """A start that ends well. For `change` see `tests.support.altered`."""
    file = world.directory / "account"
    own = altered(world.directory, ACCOUNT.format(file=str(file)), change)
    outcome = await world.run_job(arguments, env={**own, **env}, seconds=600)
    assert outcome.exit_code == 0, outcome.stdout[-2000:] + outcome.stderr
    account = dict(re.findall(r"^(\w+):\s+([\d.]+)", file.read_text(), re.MULTILINE))
    return Took(outcome, float(account["Cpu"]), int(account["VmHWM"]) * 1024)


async def test_a_call_costs_little_time(nursery: trio.Nursery) -> None:
    """Beside the engine that answers it, so that a slow machine is slow for both."""
    async with loaded(nursery, 1, 1, 0.02) as world:
        start = await took(world, *RUN)
    async with loaded(nursery, 1000, 6, 0.02) as world:
        began = time.process_time()
        one = await took(world, *RUN, QA_ENGINE_CONCURRENCY="1024")
        assert one.cpu - start.cpu <= 3 * (time.process_time() - began)
        assert one.peak <= 120 * MIB
        assert len(world.qa.requests) == 6000


async def test_4096_calls_are_in_flight_over_tls_without_a_retry(nursery: trio.Nursery, tmp_path: Path) -> None:
    """Each at its first attempt. The first answer comes when all have asked."""
    authority, server = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").configure_cert(server)
    async with loaded(nursery, 1366, 6, 0.0, tls=server) as world:
        all_asked = trio.Event()
        world.qa.script.append(Fault(when.first(4096), do.meanwhile(all_asked.wait)))

        async def answer() -> None:
            await world.qa.until(lambda seen: len(seen) == 4096)
            all_asked.set()

        nursery.start_soon(answer)
        one = await took(world, *RUN, QA_ENGINE_CONCURRENCY="4096", SSL_CERT_FILE=str(tmp_path / "ca.pem"))
        assert (len(world.qa.requests), one.outcome.finished["engines"]["qa"]["retries"]) == (1366 * 6, 0)
        assert world.qa.traffic.peak_in_flight == 4096
        assert one.peak <= 420 * MIB


LEFT = 3
"""Cards that the killed start has not recorded."""


async def test_a_million_recorded_cards_are_gone_on_with_and_reported(nursery: trio.Nursery) -> None:
    async with loaded(nursery, 50_000, 20, 0.005) as world:
        began = time.process_time()
        await _killed_start(world)
        to_write, printed = time.process_time() - began, ""
        steps = world.directory / "steps"
        for command in (RUN, RUN, ("report", DAY)):
            one = await took(world, *command, change=STEPS.format(file=str(steps)))
            assert one.peak <= 64 * MIB + 1_000_000 * 1.2 * KIB, command
            assert one.cpu <= 7 * to_write
            assert command != RUN or float(steps.read_text()) <= to_write / 10, "CPU of one step"
            printed = one.outcome.stdout
        assert len(world.qa.requests) == LEFT
    assert "1,000,000 of 1,000,000 cards made" in printed


@pytest.mark.alone
async def test_a_signal_at_a_million_cards_is_told_before_cloud_run_kills_the_process(nursery: trio.Nursery) -> None:
    """The cards in flight hang for their 5 s, and more than half of all are missing."""
    async with loaded(nursery, 50_000, 20, 0.005) as world:
        await _killed_start(world, 600_000)
        world.qa.script.append(Fault(when.always, do.hang()))
        job = await world.start_job(*RUN, env=world.chat.env())
        await world.qa.until(bool)
        sent = time.monotonic()
        job.send_signal(SIGTERM)
        outcome = await job.outcome()
        assert job.started + outcome.seconds - sent < 8
        assert (outcome.exit_code, len(world.chat.texts)) == (143, 1)
        assert outcome.finished["message"].startswith("Interrupted by SIGTERM")


async def _killed_start(world: World, left: int = LEFT) -> None:
    """The record of a start that was killed shortly before its end, as fast ones write it: 1,100 results an object."""
    settings, _ = read_settings(world.environment())
    request = Options(settings, [], NOW, 0.0)
    prepared = await read_config(request, DAY)
    plan = prepared.plan
    attempt = Attempt(
        **{**dict(Start.of(request, settings.days())), "day": DAY, "number": 1},
        batch_sizes=dict(plan.batch_sizes),
        objects={name: stored.data.decode() for name, stored in prepared.objects.items()},
        plan=plan.digest,
    )
    common = result_of(next(plan.calls("qa")), traceparent="0" * 55, limit=64)
    journal = Journal(Memory(), DAY, 1, plan.digest, lambda _: None)
    objects = {attempt_name(DAY, 1): attempt.to_json()}
    for number, item in enumerate(islice(plan.items("qa"), len(plan.items("qa")) - left)):
        ended = NOW.timestamp() + number / 2600
        own = replace(common, targets=(item.target,), card_type=item.card_type, started=ended - 0.02, ended=ended)
        journal._pending.append(own)
        if number % 1100 == 1099:
            objects.update([journal.next_chunk()])
    objects.update([journal.next_chunk()])
    write(world.directory / "runs", objects)

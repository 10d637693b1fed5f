"""When a start is over, a message says how it ended. Whatever becomes of the message, it ends as it would have."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from signal import SIGTERM
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import MockClock

from tests.simulators import do, when
from tests.simulators.service import Fault
from tests.simulators.storage import emulator_binary
from tests.simulators.world import World, open_world
from tests.support.runs import AT_ONCE, QUICK, at_once, run
from tests.support.world import VirtualWorld, open_virtual_world

if TYPE_CHECKING:
    pass

CONFIG: dict[str, object] = {"ticker_list.json": ["AAPL", "MSFT"], "card_types.json": ["news_card", "risk_card"]}
CLOUD = {
    "CLOUD_RUN_JOB": "cards",
    "CLOUD_RUN_EXECUTION": "cards-x7k2p",
    "GOOGLE_CLOUD_PROJECT": "p",
    "GOOGLE_CLOUD_REGION": "asia-east1",
    "TASK_MAX_RETRIES": "1",
}
EXECUTE = "gcloud run jobs execute cards --region=asia-east1 --project=p"
CARD_NOT_ACCEPTED = (
    "The engine does not accept the request. Correct the target's parameters in card_targets.json, or the model in "
    "llm_config.json."
)
REFUSED = Fault(when.card("risk_card"), do.status(422, {"detail": "what the engine says"}))


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[VirtualWorld]:
    async with open_virtual_world(nursery, CONFIG, latency=QUICK) as opened:
        yield opened


def env(world: World, channel: str = "feishu", **more: str) -> dict[str, str]:
    return {**CLOUD, **world.chat.env(channel, **more)}


async def test_cards_that_are_missing_and_the_retry_that_makes_them(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    """The text names what is missing and the way on, in words that the engine cannot choose."""
    world.chat.secret = "SEC0123456789"
    world.qa.script.append(REFUSED)
    secret = {"NOTIFY_SECRET": world.chat.secret}
    await run(world, 3, QA_ENGINE_CONCURRENCY="1", **env(world, **secret))
    world.qa.script.clear()
    await run(world, 0, **env(world, CLOUD_RUN_TASK_ATTEMPT="1", **secret))
    failed, done = world.chat.texts
    page = f"Page: {world.runs_uri}/2026-11-24/report.html"
    shown = failed.splitlines()
    assert shown.pop(3).startswith("trace id: ")
    assert shown == [
        "✗ cards, 2026-11-24",
        "2 of 4 cards are missing.",
        f"• QA engine: 2 cards failed: /risk_card: AAPL, MSFT. {CARD_NOT_ACCEPTED}",
        "Cloud Run starts it again by itself: nothing has to be done before its next message.",
        "Only if none comes, this requests only what is missing (until 11-25 22:20):",
        EXECUTE,
        page,
        "Ended at 22:30 UTC, exit code 3",
    ]
    assert done.splitlines() == ["✓ cards, 2026-11-24", "All 4 cards are there.", page, "Done at 22:30 UTC"]


async def test_a_program_gets_the_fields_of_the_last_line(autojump_clock: MockClock, world: VirtualWorld) -> None:
    outcome = await run(world, 0, **env(world, "slack"))
    body = world.chat.service.requests[0].json
    names = ("day", "outcome", "exit_code", "ended", "cards", "engines")
    assert {name: body[name] for name in names} == {name: outcome.finished[name] for name in names}


async def nights(world: VirtualWorld, *days: tuple[int, int], only: str | None = "failures") -> list[str]:
    """The first characters of the messages of starts for these days of November, with the exit codes that they have."""
    world.chat.texts.clear()
    for day, code in days:
        world.qa.script[:] = [REFUSED] if code == 3 else []
        await run(world, code, f"--date=2026-11-{day}", "--yes", **world.chat.env("feishu"), NOTIFY_ONLY=only)
    return [text[0] + text.splitlines()[0][-2:] for text in world.chat.texts]


async def test_only_failures_and_the_first_success_after_one_are_told(
    autojump_clock: MockClock, world: VirtualWorld
) -> None:
    assert await nights(world, (18, 0), (19, 0), (20, 3), (21, 3), (22, 0), (23, 0)) == ["✗20", "✗21", "✓22"]
    pressed = await nights(world, (10, 3), (10, 0), (10, 0), (11, 0))
    assert pressed == ["✗10", "✓10", "✓10"], "who asks for a day is told, though nothing was missing any more"
    await world.configure("ticker_list.json", ["a/1"])
    assert await nights(world, (24, 2)) == ["✗24"]
    await world.configure("ticker_list.json", ["AAPL"])
    assert await nights(world, (24, 0)) == ["✓24"]
    assert await nights(world, (12, 0), (13, 0), only=None) == ["✓12", "✓13"]


async def test_the_first_success_after_a_kill_is_told(autojump_clock: MockClock, world: VirtualWorld) -> None:
    await nights(world, (20, 0))
    world.qa.script.append(Fault(when.always, do.hang()))
    asked = len(world.qa.requests)
    job = await world.start_job("run", "--date=2026-11-21", "--yes")
    await world.qa.until(lambda seen: len(seen) > asked)
    await job.kill()
    assert await nights(world, (21, 0), (22, 0)) == ["✓21"]


@pytest.fixture
async def real(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, CONFIG, latency=QUICK) as opened:
        yield opened


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.needs("emulator")
async def test_whatever_hangs_sigterm_ends_the_process_within_nine_seconds(nursery: trio.Nursery) -> None:
    """The cards hang for their whole grace, then storage does, then the reader, then the chat."""
    async with open_world(nursery, CONFIG, latency=QUICK, emulator=emulator_binary()) as world:
        world.qa.script.append(Fault(when.always, do.hang()))
        world.chat.service.script.append(Fault(when.always, do.hang()))
        job = await world.start_job(env=env(world), reading=trio.Event())
        await world.qa.until(lambda seen: len(seen) == 4)
        assert world.storage is not None
        world.storage.script.append(Fault(when.always, do.hang()))
        sent = time.monotonic()
        job.send_signal(SIGTERM)
        with trio.fail_after(20):
            outcome = await job.outcome()
    assert outcome.exit_code == 143
    assert 8.0 < job.started + outcome.seconds - sent < 9.0 - AT_ONCE + at_once(job)

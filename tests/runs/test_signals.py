"""A signal ends a start in order: no call starts after it, data calls are cut off, cards have a grace period.

What a signal does is in virtual time; that nothing which hangs holds up the end of a process is seen in real ones.
"""

import json
import time
from collections.abc import AsyncIterator
from signal import SIGINT, SIGTERM, Signals

import pytest
import trio
from trio.testing import MockClock

from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.service import Do, Fault
from tests.simulators.storage import emulator_binary
from tests.simulators.world import World, open_world
from tests.support.altered import SILENT_RESOLVER, altered
from tests.support.runs import NO_DATA, QUICK, assert_clean, objects
from tests.support.scene import LEASE, Scene, open_scene

CONFIG: dict[str, object] = {"ticker_list.json": [f"T{number}" for number in range(20)], "card_types.json": ["a"]}


@pytest.fixture
async def cards(nursery: trio.Nursery) -> AsyncIterator[World]:
    """A world of cards alone, which take half a second each."""
    async with open_world(nursery, CONFIG | {"engine_control.json": NO_DATA}, latency=steady(0.5)) as world:
        yield world


@pytest.fixture
async def scene(autojump_clock: MockClock, nursery: trio.Nursery) -> AsyncIterator[Scene]:
    """Twenty cards, and nothing is made yet."""
    async with open_scene(nursery, CONFIG) as opened:
        yield opened


# --- in virtual time ---


@pytest.mark.parametrize(
    ("signal", "fault", "seconds", "done", "failed"),
    [
        pytest.param(SIGTERM, do.nothing(), (0.9, 1.5), 2, 0, id="cards in flight may answer"),
        pytest.param(SIGTERM, do.hang(), (5.0, 5.5), 0, 2, id="and are cut off after the grace"),
        pytest.param(SIGINT, do.nothing(), (0.0, 0.5), 0, 2, id="at once by SIGINT"),
        pytest.param(SIGTERM, do.status(503, retry_after="20"), (0.0, 0.5), 0, 2, id="as between two attempts"),
    ],
)
async def test_after_a_signal_no_card_is_requested(
    scene: Scene, signal: Signals, fault: Do, seconds: tuple[float, float], done: int, failed: int
) -> None:
    scene.world.qa.script.append(Fault(when.always, fault))
    job = await scene.begin()
    await scene.cards_in_flight(2)
    await trio.sleep(0.05)
    sent = time.monotonic()
    job.send_signal(signal)
    outcome = await scene.end(job, 128 + signal)
    assert seconds[0] <= time.monotonic() - sent < seconds[1]
    cards = outcome.finished["cards"]
    assert (cards["done"], cards["failed"], cards["not_attempted"]) == (done, failed, 18)
    assert scene.cards().total() == 2


async def test_signals_after_the_last_line_change_nothing(scene: Scene) -> None:
    """It follows the closed record and the lease that was released."""
    scene.world.chat.service.script.append(Fault(when.always, do.hang()))
    job = await scene.begin(**scene.world.chat.env())
    await job.seen("run.finished")
    assert (len(scene.names("/ends/")), scene.stored(LEASE)["is_released"]) == (1, True)
    job.send_signal(SIGTERM)
    job.send_signal(SIGINT)
    await scene.end(job, 0)


# --- in real processes ---


@pytest.mark.slow
async def test_a_resolver_that_does_not_answer_holds_up_no_end(cards: World) -> None:
    """Its threads stay at work when their calls have been given up."""
    await cards.configure("card_types.json", [f"c{number}" for number in range(4)])
    env = cards.chat.env(
        QA_ENGINE_URL=cards.qa.url.replace("127.0.0.1", "localhost"),
        QA_ENGINE_CONCURRENCY="64",
        **altered(cards.directory, SILENT_RESOLVER),
    )
    job = await cards.start_job("run", env=env)
    await job.seen("run.started")
    await trio.sleep(1)
    sent = time.monotonic()
    job.send_signal(SIGTERM)
    with trio.fail_after(30):
        outcome = await job.outcome()
    assert_clean(cards, outcome)
    assert outcome.exit_code == 143
    assert job.started + outcome.seconds - sent < 8, "the grace, and hardly more"
    assert outcome.finished["cards"]["not_attempted"] == 80
    recorded = await objects(cards)
    assert json.loads(recorded[LEASE])["is_released"]
    assert any("/ends/" in name for name in recorded)
    assert len(cards.chat.texts) == 1


@pytest.mark.slow
async def test_a_start_that_waits_for_another_tells_at_once_how_it_ended(cards: World) -> None:
    cards.qa.script.append(Fault(when.always, do.hang()))
    first = await cards.start_job("run")
    await first.seen("run.started")
    waiting = await cards.start_job("run", env=cards.chat.env())
    await waiting.seen("run.waiting")
    sent = time.monotonic()
    waiting.send_signal(SIGTERM)
    outcome = await waiting.outcome()
    assert waiting.started + outcome.seconds - sent < 8
    assert (outcome.exit_code, len(cards.chat.texts)) == (143, 1)
    assert outcome.finished["message"] == "Interrupted by SIGTERM: nothing was called"


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.needs("emulator")
async def test_whatever_hangs_sigterm_ends_the_process_before_cloud_run_does(nursery: trio.Nursery) -> None:
    """The cards hang for their whole grace, then storage does, then the reader, then the chat."""
    async with open_world(nursery, CONFIG, latency=QUICK, emulator=emulator_binary()) as world:
        world.qa.script.append(Fault(when.always, do.hang()))
        world.chat.service.script.append(Fault(when.always, do.hang()))
        job = await world.start_job(env=world.chat.env(), reading=trio.Event())
        await world.qa.until(lambda seen: len(seen) == 16)
        assert world.storage is not None
        world.storage.script.append(Fault(when.always, do.hang()))
        sent = time.monotonic()
        job.send_signal(SIGTERM)
        outcome = await job.outcome()
    assert outcome.exit_code == 143
    assert 8.0 < job.started + outcome.seconds - sent < 10.0, "Cloud Run kills it then"


@pytest.mark.slow
async def test_a_terminal_that_nobody_reads_holds_up_no_end(cards: World) -> None:
    """Half of the cards fail, so that there is more to show than a terminal takes unread."""
    cards.qa.script += [Fault(when.first(10), do.status(422)), Fault(when.always, do.hang())]
    job = await cards.start_job("run", env={"QA_ENGINE_CONCURRENCY": "20"}, terminal=True, reading=trio.Event())
    await cards.qa.until(lambda seen: sum(one.answered is not None for one in seen) == 10)
    job.send_signal(SIGINT)
    assert (await job.outcome()).exit_code == 130
    recorded = await objects(cards)
    assert json.loads(recorded[LEASE])["is_released"]
    (end,) = (name for name in recorded if "/ends/" in name)
    assert json.loads(recorded[end])["exit_code"] == 130

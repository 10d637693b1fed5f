"""With NOTIFY_ONLY=failures there is a message about each failure, and about the first success after one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import MockClock

from job.notification import sender
from job.records.past import PastNights
from tests.runs.fault_table.row import CONFIG
from tests.simulators import do, when
from tests.simulators.service import Fault
from tests.support.runs import QUICK
from tests.support.world import VirtualWorld, open_virtual_world

if TYPE_CHECKING:
    from job.notification.channels import Hook
    from job.notification.message import Line


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[VirtualWorld]:
    async with open_virtual_world(nursery, CONFIG, latency=QUICK) as opened:
        yield opened


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The first line of each message."""
    found = list[str]()

    async def send(_: Hook, lines: Sequence[Line], *_more: object) -> None:
        await trio.lowlevel.checkpoint()
        found.append(str(next(iter(lines)).text))

    monkeypatch.setattr(sender, "send", send)
    return found


class Nights:
    """Starts of the job, one after the other."""

    def __init__(self, world: VirtualWorld) -> None:
        self.world = world

    def env(self, day: int) -> dict[str, str | None]:
        """The variables of a start."""
        return {
            "RUNS_URI": self.world.runs_uri,
            "NOTIFY_URL": "https://chat.example/hook",
            "NOTIFY_ONLY": "failures",
            "RUN_DATE": f"2026-11-{day}",
        }

    async def __call__(self, day: int, code: int, *arguments: str, **env: str | None) -> None:
        """A start, whose cards fail if it has to exit with 3."""
        if code == 3:
            self.world.qa.script.append(Fault(when.card("risk_card"), do.status(422)))
        outcome = await self.world.run_job(arguments or ("run",), env=self.env(day) | env)
        assert outcome.exit_code == code, outcome.stdout
        self.world.qa.script.clear()
        await trio.sleep(3600)  # past runs are sorted by the second of their start

    async def kill(self, day: int) -> None:
        """A start that is killed while it requests cards."""
        asked = len(self.world.qa.requests)
        self.world.qa.script.append(Fault(when.always, do.hang()))
        job = await self.world.start_job("run", env=self.env(day))
        await self.world.qa.until(lambda requests: len(requests) > asked)
        await job.kill()
        self.world.qa.script.clear()
        await trio.sleep(3600)


async def test_only_failures_and_the_first_success_after_one_are_told(
    autojump_clock: MockClock, world: VirtualWorld, sent: list[str]
) -> None:
    start = Nights(world)
    for day, code in ((20, 0), (21, 0), (22, 3), (23, 3), (24, 0), (25, 0)):
        await start(day, code)
    assert sent == [f"{mark} batch-orchestrator, 2026-11-{day}" for mark, day in (("✗", 22), ("✗", 23), ("✓", 24))]


async def test_without_the_variable_all_are_told(
    autojump_clock: MockClock, world: VirtualWorld, sent: list[str]
) -> None:
    start = Nights(world)
    for day in (20, 21):
        await start(day, 0, NOTIFY_ONLY=None)
    assert len(sent) == 2


async def test_a_wrong_value_is_a_notice_and_all_are_told(
    autojump_clock: MockClock, world: VirtualWorld, sent: list[str]
) -> None:
    start = Nights(world)
    for day in (20, 21):
        await start(day, 0, NOTIFY_ONLY="errors")
    assert len(sent) == 2


@pytest.mark.parametrize("arguments", [("run",), ("resume", "night")])
async def test_a_success_of_a_run_that_had_failed_is_told_once(
    autojump_clock: MockClock, world: VirtualWorld, sent: list[str], arguments: tuple[str, ...]
) -> None:
    start = Nights(world)
    await start(20, 0)
    await start(21, 3, RUN_ID="night")
    await start(21, 0, *arguments)
    await start(21, 0)  # nothing is missing
    await start(22, 0)
    assert [text[0] for text in sent] == ["✗", "✓"]


async def test_a_run_that_goes_on_after_a_success_is_not_told(
    autojump_clock: MockClock, world: VirtualWorld, sent: list[str]
) -> None:
    start = Nights(world)
    await start(20, 0)
    await world.configure("ticker_list.json", ["T0", "T1", "AAPL"])
    await start(20, 0)
    assert sent == []


async def test_a_success_after_a_kill_is_told(autojump_clock: MockClock, world: VirtualWorld, sent: list[str]) -> None:
    start = Nights(world)
    await start(20, 0)
    await start.kill(21)
    await start.kill(22)
    await start(22, 0)
    assert sent == ["✓ batch-orchestrator, 2026-11-22"], "the same run"
    await start(23, 0)
    assert len(sent) == 1
    await start.kill(24)
    await start(25, 0)
    assert sent[1:] == ["✓ batch-orchestrator, 2026-11-25"], "another run"
    await world.configure("ticker_list.json", ["T0", "T1", "AAPL"])
    await start.kill(25)
    await start(25, 0)
    assert len(sent) == 3, "the same run, which had succeeded before"


async def test_a_success_after_a_faulty_config_is_told(
    autojump_clock: MockClock, world: VirtualWorld, sent: list[str]
) -> None:
    start = Nights(world)
    await start(20, 0)
    await world.configure("ticker_list.json", ["a/1"])
    await start(21, 2, CLOUD_RUN_EXECUTION="cards-1")
    await world.configure("ticker_list.json", ["AAPL"])
    await start(21, 0, CLOUD_RUN_EXECUTION="cards-1", CLOUD_RUN_TASK_ATTEMPT="1")
    await start(22, 0)
    assert [text[0] for text in sent] == ["✗", "✓"]


async def test_another_config_does_not_count(autojump_clock: MockClock, world: VirtualWorld, sent: list[str]) -> None:
    start = Nights(world)
    world.stores["/other"] = world.stores[f"{world.config_uri}/"] = world.stores[world.config_uri]
    await start(20, 0)
    await start(21, 3, CONFIG_URI=f"{world.config_uri}/")
    sent.clear()
    await start(22, 0)
    assert len(sent) == 1, "the slash is of no account"
    await start(23, 3, CONFIG_URI="/other")
    sent.clear()
    await start(24, 0)
    assert sent == []


async def test_a_success_is_told_if_past_nights_are_not_read_or_no_run_is_recorded(
    autojump_clock: MockClock, world: VirtualWorld, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Nights(world)
    await start(20, 0)
    await start(21, 0, RUNS_URI=None)
    assert len(sent) == 1

    async def never(*_: object) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(PastNights, "read", never)
    await start(22, 0)
    assert len(sent) == 2

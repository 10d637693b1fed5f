"""At any time at most one run holds the lease; a run that may have lost it stops before another may begin."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import MockClock

from job.execution.shutdown import Budget, Shutdown, ShutdownError, ShutdownReason
from job.records import lease as module
from job.records.lease import (
    LASTS_SECONDS,
    LEASE,
    RENEW_SECONDS,
    TRUSTED_SECONDS,
    WATCH_SECONDS,
    BusyError,
    Holder,
    Lease,
    acquire,
    machine,
)
from job.storage.store import ConflictError, ObjectStore, StorageError, in_thread
from job.text.messages import Message
from tests.support.clocks import MachineClock, machine_clock
from tests.support.stores import Memory, memory, store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["machine_clock", "memory", "store"]


def holder(owner: str = "one", **changes: Any) -> Holder:
    """A run on this machine, whose process is alive."""
    known: dict[str, Any] = {
        "owner": owner,
        "run_id": f"run-{owner}",
        "work": f"work of {owner}",
        "day": "2026-11-24",
        "since": "9999-12-31T23:59:59+00:00",  # a holder's clock is not trusted
        "machine": machine(),
        "pid": os.getppid() if owner == "one" else os.getpid(),
        "execution": None,
        "task_attempt": 0,
    }
    return Holder(**(known | changes))


def ignore_notice(_notice: Message) -> None:
    """Ignores notices."""


def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@contextmanager
def child(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of another program."""
    with subprocess.Popen(command) as process:
        try:
            yield process
        finally:
            process.kill()


async def there(store: ObjectStore) -> Holder | None:
    # Not in a thread if it is in memory: that would make a virtual clock run wild.
    stored = store.read(LEASE) if isinstance(store, Memory) else await trio.to_thread.run_sync(store.read, LEASE)
    return None if stored is None else Holder.model_validate_json(stored.data)


class Kept:
    """A lease that is being renewed, and its end."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.shutdown = Shutdown()
        self.troubles: list[Message | None] = []

    async def keep(self) -> None:
        await self.lease.renew_forever(self.shutdown, self.troubles.append)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every holder renew its lease, and every other run read it, without a pause."""
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.1)
    monkeypatch.setattr(module, "WATCH_SECONDS", 0.1)


async def test_the_second_run_learns_who_holds_the_lease(
    store: ObjectStore, nursery: trio.Nursery, eager: None
) -> None:
    nursery.start_soon(Kept(await acquire(store, holder(), ignore_notice)).keep)
    with pytest.raises(BusyError, match=r"^run run-one of 2026-11-24, since 9999-[^ ]*$"):
        await acquire(store, holder("two"), ignore_notice)
    assert await there(store) == holder()
    assert await in_thread(lambda: store.names("_")) == [LEASE]


WORK = {"work": "2026-11-24_the engines"}


@pytest.mark.parametrize(
    ("one", "two", "is_followed"),
    [
        (WORK, WORK, True),
        ({}, {"run_id": "run-one"}, True),
        ({}, {}, False),
        (WORK, {"work": "2026-11-25_the engines"}, False),
        ({"work": None}, {"work": None}, False),
        ({"work": None}, WORK, False),
        (WORK, {"work": None}, False),
    ],
)
async def test_a_living_holder_with_the_same_work_is_followed_to_its_end(
    memory: Memory, one: dict[str, Any], two: dict[str, Any], is_followed: bool, autojump_clock: MockClock
) -> None:
    """However long that takes. One that makes everything anew has work of its own."""
    first = await acquire(memory, holder(**one), ignore_notice)
    said: list[Message] = []

    async def work() -> None:
        with trio.move_on_after(10 * LASTS_SECONDS):
            await Kept(first).keep()
        await first.release()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        with nullcontext() if is_followed else pytest.raises(BusyError):
            await acquire(memory, holder("two", **two), said.append)
        nursery.cancel_scope.cancel()
    if is_followed:
        assert await there(memory) == holder("two", **two)
        assert 10 * LASTS_SECONDS <= trio.current_time() <= 10 * LASTS_SECONDS + WATCH_SECONDS
        assert [str(text) for text in said[1:]] == [
            "run run-one of 2026-11-24 is at work: following it, and doing then what is left"
        ]
    else:
        assert await there(memory) == holder(**one)
        assert trio.current_time() <= RENEW_SECONDS + WATCH_SECONDS


async def test_a_followed_holder_that_stops_renewing_is_replaced_after_a_minute(
    memory: Memory, autojump_clock: MockClock
) -> None:
    first = await acquire(memory, holder(machine="elsewhere", **WORK), ignore_notice)
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as killed:
            nursery.start_soon(acquire, memory, holder("two", **WORK), ignore_notice)
            with trio.move_on_after(2 * RENEW_SECONDS + 1):
                await Kept(first).keep()
            killed.cancel()
    assert await there(memory) == holder("two", **WORK)
    took = trio.current_time() - 2 * RENEW_SECONDS
    assert LASTS_SECONDS <= took <= LASTS_SECONDS + 2 * WATCH_SECONDS


async def test_a_lease_that_was_given_back_is_free(store: ObjectStore) -> None:
    first = await acquire(store, holder(), ignore_notice)
    await first.release()
    assert await there(store) is None
    await acquire(store, holder("two"), ignore_notice)
    assert await there(store) == holder("two")


@pytest.fixture
def stale(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes every lease stale from now on."""
    return lambda: monkeypatch.setattr(module, "LASTS_SECONDS", 0.0)


async def test_a_stale_lease_is_taken_over_and_its_holder_finds_out(
    store: ObjectStore, stale: Callable[[], None]
) -> None:
    first = await acquire(store, holder(), ignore_notice)
    stale()
    await acquire(store, holder("two"), ignore_notice)
    with pytest.raises(ConflictError):
        await in_thread(first._renewed)
    await first.release()
    assert await there(store) == holder("two"), "it gives back no lease but its own"


async def contest(store: ObjectStore) -> None:
    """Five runs want the lease at the same moment: one gets it, and the others see that it is at work."""
    got: list[str] = []
    busy: list[str] = []

    async def want(owner: str) -> None:
        try:
            lease = await acquire(store, holder(owner, machine=owner), ignore_notice)
        except BusyError:
            busy.append(owner)
        else:
            got.append(owner)
            nursery.start_soon(Kept(lease).keep)
        if len(got) + len(busy) == 5:
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(want, f"w{number}")
    assert len(busy) == 4
    assert len(got) == 1
    kept = await there(store)
    assert kept is not None
    assert kept.owner == got[0]


@pytest.mark.parametrize("state", ["free", "left"])
async def test_of_many_runs_exactly_one_acquires_the_lease(
    store: ObjectStore, eager: None, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    if state == "left":
        await acquire(store, holder(), ignore_notice)
        monkeypatch.setattr(module, "_is_gone", lambda old, _me: old.owner == "one")
    await contest(store)


async def test_of_many_runs_that_wait_until_the_lease_is_stale_exactly_one_acquires_it(
    memory: Memory, autojump_clock: MockClock
) -> None:
    await acquire(memory, holder(machine="elsewhere"), ignore_notice)
    memory.seconds = 1.0
    await contest(memory)
    assert trio.current_time() >= LASTS_SECONDS


RETRY = {"run_id": "exec", "execution": "exec", "machine": "old"}


@pytest.mark.parametrize(
    ("old", "new", "enters"),
    [
        ({**RETRY, "task_attempt": 0}, {**RETRY, "task_attempt": 1, "machine": "new"}, True),
        ({**RETRY, "task_attempt": 0}, {**RETRY, "task_attempt": 3, "machine": "new"}, True),
        ({**RETRY, "task_attempt": 1}, {**RETRY, "task_attempt": 1, "machine": "new"}, False),
        ({**RETRY, "task_attempt": 1}, {**RETRY, "task_attempt": 0, "machine": "new"}, False),
        ({**RETRY}, {**RETRY, "execution": "other", "task_attempt": 1, "machine": "new"}, False),
        ({**RETRY}, {**RETRY, "run_id": "other", "task_attempt": 1}, False),
        ({**RETRY}, {**RETRY, "execution": "other", "run_id": "other"}, False),
        ({"machine": "m"}, {**RETRY, "machine": "m"}, False),
        ({**RETRY, "machine": "m"}, {"machine": "m"}, False),
        ({"run_id": "r", "machine": "m"}, {"run_id": "r", "machine": "m"}, True),
        ({"run_id": "r", "machine": "m"}, {"run_id": "r", "machine": "n"}, False),
        ({"run_id": "r", "machine": "m"}, {"run_id": "s", "machine": "m"}, True),
    ],
)
async def test_which_run_may_take_over_the_lease_of_an_ended_process_at_once(
    store: ObjectStore, old: dict[str, Any], new: dict[str, Any], enters: bool
) -> None:
    """A run may do so if it can see that the holder's process is gone; others have to watch the lease."""
    await acquire(store, holder("old", pid=dead_pid(), **old), ignore_notice)
    if enters:
        lease = await acquire(store, holder("new", **new), ignore_notice)
        is_same_run = lease.holder.run_id == holder("old", **old).run_id
        assert lease.replaced == ("old" if is_same_run else None), "it may still write results of this run"
    else:
        with pytest.raises(trio.TooSlowError), trio.fail_after(0.3):
            await acquire(store, holder("new", **new), ignore_notice)


async def test_a_process_does_not_wait_for_itself(store: ObjectStore) -> None:
    """A restarted container may give the process the same id again."""
    await acquire(store, holder(pid=os.getpid()), ignore_notice)
    await acquire(store, holder("two", pid=os.getpid()), ignore_notice)
    assert await there(store) == holder("two")


async def test_a_holder_on_another_machine_is_alive_once_it_renews(memory: Memory, autojump_clock: MockClock) -> None:
    kept = Kept(await acquire(memory, holder(machine="elsewhere"), ignore_notice))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.keep)
        with pytest.raises(BusyError):
            await acquire(memory, holder("two"), ignore_notice)
        assert trio.current_time() < RENEW_SECONDS + 5
        nursery.cancel_scope.cancel()


async def release_later(lease: Lease) -> None:
    """Releases a lease before it is renewed for the first time."""
    await trio.sleep(RENEW_SECONDS / 2)
    await lease.release()


@pytest.mark.parametrize("changes", [{}, WORK, {"run_id": "run-one"}])
async def test_a_watched_lease_is_acquired_once_it_is_released(
    memory: Memory, changes: dict[str, Any], autojump_clock: MockClock
) -> None:
    """Whoever had it: what is left of its work is found in the record."""
    first = await acquire(memory, holder(machine="elsewhere", **WORK), ignore_notice)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(release_later, first)
        await acquire(memory, holder("two", **changes), ignore_notice)
    assert await there(memory) == holder("two", **changes)
    assert trio.current_time() < RENEW_SECONDS


@pytest.mark.parametrize("clock", [trio.current_time, lambda: trio.current_time() + 1e9, lambda: 0.0])
async def test_a_holder_on_another_machine_that_never_renews_is_replaced_whatever_the_timestamps_say(
    memory: Memory, clock: Callable[[], float], autojump_clock: MockClock
) -> None:
    await acquire(memory, holder(machine="elsewhere"), ignore_notice)
    stored = memory.objects[LEASE]
    memory.objects[LEASE] = replace(stored, updated=clock())
    await acquire(memory, holder("two"), ignore_notice)
    assert LASTS_SECONDS <= trio.current_time() < LASTS_SECONDS + 5


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
@pytest.mark.parametrize("machine_", [machine(), "elsewhere"])
async def test_a_holder_that_renews_keeps_its_lease_though_the_clock_of_storage_jumps(
    memory: Memory, jump: float, machine_: str, autojump_clock: MockClock
) -> None:
    kept = Kept(await acquire(memory, holder(machine=machine_), ignore_notice))
    memory.clock = lambda: trio.current_time() + jump
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.keep)
        with pytest.raises(BusyError):
            await acquire(memory, holder("two"), ignore_notice)
        nursery.cancel_scope.cancel()
    assert await there(memory) == holder(machine=machine_)


async def test_watching_a_lease_begins_when_its_first_read_has_ended(memory: Memory, autojump_clock: MockClock) -> None:
    """A slow read may return what was written during the read."""
    kept = Kept(await acquire(memory, holder(machine="elsewhere"), ignore_notice))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.keep)
        await trio.sleep(1)
        async with trio.open_nursery() as looking:
            memory.seconds = 2 * RENEW_SECONDS  # for the look that begins now: it sees the renewal
            looking.start_soon(acquire, memory, holder("two"), ignore_notice)
            await trio.testing.wait_all_tasks_blocked()
            memory.seconds = 0
            await trio.sleep(RENEW_SECONDS)
            kept.lease.store = Memory(refuse=lambda _verb, _name: True)
        nursery.cancel_scope.cancel()
    assert kept.lease.trusted_until == RENEW_SECONDS + TRUSTED_SECONDS
    assert trio.current_time() >= kept.lease.trusted_until + Budget.GRACE


@pytest.mark.parametrize("signal_", [None, signal.SIGSTOP])
async def test_an_existing_process_id_does_not_prove_that_the_holder_is_alive(
    memory: Memory, signal_: signal.Signals | None, autojump_clock: MockClock
) -> None:
    """The id may belong to another program by now, or the process may be stopped."""
    with child("sleep", "60") as process:
        if signal_ is not None:
            process.send_signal(signal_)
        await acquire(memory, holder(pid=process.pid), ignore_notice)
        await acquire(memory, holder("two"), ignore_notice)
        assert LASTS_SECONDS <= trio.current_time() < LASTS_SECONDS + 5


async def test_a_zombie_process_is_replaced_at_once(memory: Memory, autojump_clock: MockClock) -> None:
    with child("true") as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222  it ends by itself
        os.kill(process.pid, 0)  # its number is in use
        await acquire(memory, holder(pid=process.pid), ignore_notice)
        await acquire(memory, holder("two"), ignore_notice)
    assert trio.current_time() == 0


async def test_without_proc_the_lease_of_a_zombie_process_is_watched(
    memory: Memory, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(module, "Path", lambda path: Path(f"/nowhere{path}"))
    with child("true") as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222  it ends by itself
        await acquire(memory, holder(pid=process.pid), ignore_notice)
        await acquire(memory, holder("two"), ignore_notice)
    assert trio.current_time() >= LASTS_SECONDS


async def test_the_name_of_a_process_does_not_make_it_a_zombie(
    memory: Memory, tmp_path: Path, autojump_clock: MockClock
) -> None:
    name = tmp_path / "a) Z 1"
    name.symlink_to("/bin/sleep")
    with child(str(name), "60") as process:
        await acquire(memory, holder(pid=process.pid), ignore_notice)
        await acquire(memory, holder("two"), ignore_notice)
    assert trio.current_time() >= LASTS_SECONDS


async def test_a_holder_that_dies_while_it_is_watched_is_replaced_at_the_next_read(
    memory: Memory, autojump_clock: MockClock
) -> None:
    """It was seen to renew its lease before, but a run stands back only before one that is alive."""
    with child("sleep", "60") as process:
        first = await acquire(memory, holder(pid=process.pid), ignore_notice)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(acquire, memory, holder("two"), ignore_notice)
            await trio.sleep(0.5 * WATCH_SECONDS)
            first.stored = first._renewed()
            process.kill()
            process.wait()
    assert await there(memory) == holder("two")
    assert trio.current_time() <= WATCH_SECONDS


async def test_a_run_that_watches_a_lease_says_so_once(memory: Memory, autojump_clock: MockClock) -> None:
    said: list[Message] = []
    await acquire(memory, holder(machine="elsewhere"), said.append)
    assert said == []
    await acquire(memory, holder("two"), said.append)
    (notice,) = said
    assert str(notice) == (
        "Waiting up to 60 s to see whether run run-one of 2026-11-24 is still at work: "
        "it has held the lease since 9999-12-31T23:59:59+00:00."
    )


async def test_a_living_process_of_the_same_run_keeps_the_lease(
    store: ObjectStore, nursery: trio.Nursery, eager: None
) -> None:
    mine = {"run_id": "r", "machine": machine()}
    kept = Kept(await acquire(store, holder("old", pid=os.getpid(), **mine), ignore_notice))
    nursery.start_soon(kept.keep)
    with pytest.raises(trio.TooSlowError), trio.fail_after(0.5):
        await acquire(store, holder("new", pid=os.getpid() + 1, **mine), ignore_notice)
    assert kept.shutdown.reason is None


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\xff", b"[1]", holder().model_dump_json().replace(str(os.getppid()), "1" * 30).encode()]
)
async def test_an_unreadable_lease_is_held_until_it_is_stale(
    memory: Memory, content: bytes, autojump_clock: MockClock
) -> None:
    memory.create(LEASE, content)
    said: list[Message] = []
    await acquire(memory, holder(), said.append)
    assert LASTS_SECONDS <= trio.current_time() < LASTS_SECONDS + 5
    assert list(map(str, said)) == [
        "Waiting up to 60 s to see whether another run is at work: _lease.json cannot be read."
    ]


async def test_an_unreadable_lease_is_not_followed(memory: Memory, autojump_clock: MockClock) -> None:
    stored = memory.create(LEASE, b"odd")

    def renewed(_notice: Message) -> None:
        memory.replace(LEASE, b"odd again", stored.generation)

    with pytest.raises(BusyError, match=r"^its lease cannot be read$"):
        await acquire(memory, holder(), renewed)


async def test_a_lease_that_storage_refuses_to_write_is_not_acquired(memory: Memory, autojump_clock: MockClock) -> None:
    memory.refuse = lambda verb, _name: verb == "create"
    with pytest.raises(StorageError):
        await acquire(memory, holder(), ignore_notice)


async def test_a_lease_that_is_released_before_it_is_read_is_acquired(
    memory: Memory, autojump_clock: MockClock
) -> None:
    first = await acquire(memory, holder(), ignore_notice)
    read = memory.read

    def released_first(name: str, limit: int | None = None) -> Any:
        memory.objects.pop(LEASE, None)
        return read(name, limit)

    memory.read = released_first  # type: ignore[method-assign]
    await acquire(memory, holder("two"), ignore_notice)
    assert first.holder.owner == "one"


@pytest.mark.parametrize("clock", [trio.current_time, lambda: 5e9 - trio.current_time(), lambda: 0.0])
async def test_a_lease_is_renewed_whatever_the_clocks_say(
    memory: Memory, clock: Callable[[], float], autojump_clock: MockClock
) -> None:
    memory.clock = clock
    kept = Kept(await acquire(memory, holder(), ignore_notice))
    with trio.move_on_after(10 * RENEW_SECONDS + 1):
        await kept.keep()
    assert memory.count("replace", LEASE) == 10
    assert kept.shutdown.reason is None
    assert kept.lease.trusted_until == pytest.approx(10 * RENEW_SECONDS + TRUSTED_SECONDS)


async def test_a_lease_is_fresh_to_others_for_as_long_as_it_is_trusted(
    memory: Memory, autojump_clock: MockClock
) -> None:
    """For others it is stale only when the last call of its holder has been cut off."""
    memory.seconds = 3.0
    kept = Kept(await acquire(memory, holder(), ignore_notice))
    memory.refuse = lambda verb, _name: verb == "replace" and trio.current_time() < TRUSTED_SECONDS + Budget.GRACE
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.keep)
        await acquire(memory, holder("two"), ignore_notice)
        nursery.cancel_scope.cancel()
    assert kept.shutdown.reason is ShutdownReason.LEASE_LOST
    assert kept.lease.trusted_until + Budget.GRACE < LASTS_SECONDS <= trio.current_time()


async def test_an_outage_that_ends_in_time_does_not_stop_the_run(memory: Memory, autojump_clock: MockClock) -> None:
    kept = Kept(await acquire(memory, holder(), ignore_notice))
    memory.refuse = lambda _verb, _name: 14 < trio.current_time() < 48
    with trio.move_on_after(100):
        await kept.keep()
    assert kept.shutdown.reason is None
    assert kept.shutdown.not_renewed is None
    assert "503 from the fake" in str(kept.troubles[0])
    assert kept.troubles[-1] is None


async def test_a_renewal_whose_answer_was_lost_does_not_lose_the_lease(
    memory: Memory, autojump_clock: MockClock
) -> None:
    kept = Kept(await acquire(memory, holder(), ignore_notice))
    memory.lose = lambda verb, _name: verb == "replace" and trio.current_time() < 20
    with trio.move_on_after(100):
        await kept.keep()
    assert kept.shutdown.reason is None
    assert [trouble is None for trouble in kept.troubles][:3] == [False, True, True]


@pytest.mark.parametrize("how", ["refused", "hanging"])
async def test_an_outage_that_lasts_stops_the_run_in_time(memory: Memory, how: str, autojump_clock: MockClock) -> None:
    kept = Kept(await acquire(memory, holder(), ignore_notice))
    if how == "refused":
        memory.refuse = lambda _verb, _name: True
    else:
        memory.seconds = 1e6
    await kept.keep()
    assert trio.current_time() == pytest.approx(TRUSTED_SECONDS)
    assert kept.shutdown.reason is ShutdownReason.LEASE_LOST
    words = "_lease.json: 503 from the fake" if how == "refused" else "storage did not answer in time"
    assert str(kept.shutdown.not_renewed) == words


async def test_a_lease_that_another_run_has_taken_stops_the_run_at_the_next_renewal(
    memory: Memory, autojump_clock: MockClock
) -> None:
    kept = Kept(await acquire(memory, holder(), ignore_notice))
    memory.objects[LEASE] = memory._write("replace", LEASE, b"another's")
    await kept.keep()
    assert trio.current_time() == pytest.approx(RENEW_SECONDS)
    assert kept.shutdown.reason is ShutdownReason.LEASE_LOST
    assert kept.shutdown.not_renewed is None
    assert not kept.lease.is_held()


async def test_a_lease_that_another_run_takes_in_an_outage_is_lost_to_that_run(
    memory: Memory, autojump_clock: MockClock
) -> None:
    kept = Kept(await acquire(memory, holder(), ignore_notice))
    memory.refuse = lambda verb, _name: verb == "replace" and trio.current_time() < 20
    memory.objects[LEASE] = memory._write("replace", LEASE, b"another's")
    await kept.keep()
    assert kept.troubles
    assert kept.shutdown.reason is ShutdownReason.LEASE_LOST
    assert kept.shutdown.not_renewed is None


async def test_after_a_long_pause_no_call_starts_before_the_lease_is_checked(memory: Memory) -> None:
    """The first task that wakes up may be a worker, which must not request a card."""
    clock = trio.lowlevel.current_clock()
    assert not isinstance(clock, MockClock)
    kept = Kept(await acquire(memory, holder(), ignore_notice))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.keep)
        await trio.testing.wait_all_tasks_blocked()
        kept.shutdown.raise_if_requested()
        assert kept.shutdown.no_start_after is not None
        # as if the time until then had passed in the pause
        kept.shutdown.no_start_after = replace(kept.shutdown.no_start_after, monotonic=trio.current_time())
        with pytest.raises(ShutdownError):
            kept.shutdown.raise_if_requested()
        nursery.cancel_scope.cancel()
    assert kept.shutdown.reason is ShutdownReason.LEASE_LOST


@pytest.mark.parametrize(
    ("slept", "is_held"), [(TRUSTED_SECONDS - RENEW_SECONDS - 1, True), (TRUSTED_SECONDS - 10, False)]
)
async def test_the_time_for_which_the_machine_sleeps_counts(
    memory: Memory, machine_clock: MachineClock, slept: float, is_held: bool, autojump_clock: MockClock
) -> None:
    kept = Kept(await acquire(memory, holder(), ignore_notice))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.keep)
        await trio.sleep(10)
        machine_clock.slept += slept
        assert kept.lease.is_held() is is_held
        with nullcontext() if is_held else pytest.raises(ShutdownError):
            kept.shutdown.raise_if_requested()
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert kept.shutdown.reason is (None if is_held else ShutdownReason.LEASE_LOST)
    assert memory.count("replace", LEASE) == is_held, "a run that must stop does not renew its lease"


async def test_a_lease_that_is_renewed_after_a_sleep_is_trusted_again(
    memory: Memory, machine_clock: MachineClock, autojump_clock: MockClock
) -> None:
    kept = Kept(await acquire(memory, holder(), ignore_notice))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.keep)
        for _ in range(10):
            await trio.sleep(20)
            machine_clock.slept += 25
            kept.shutdown.raise_if_requested()
            assert kept.lease.is_held()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("verb", ["create", "replace"])
async def test_a_sleep_between_a_request_and_its_answer_counts(
    memory: Memory, machine_clock: MachineClock, verb: str, autojump_clock: MockClock
) -> None:
    """Storage may have written the lease before it."""

    def sleep(asked: str, _name: str) -> bool:
        machine_clock.slept += 100 if asked == verb else 0
        return False

    memory.refuse = sleep
    kept = Kept(await acquire(memory, holder(), ignore_notice))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.keep)
        await trio.sleep(RENEW_SECONDS + 1)
        with pytest.raises(ShutdownError):
            kept.shutdown.raise_if_requested()
        assert not kept.lease.is_held()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("moment", [15.1, 15.5, 16.5, 16.9])
async def test_a_lease_is_given_back_though_it_is_being_renewed(
    memory: Memory, moment: float, autojump_clock: MockClock
) -> None:
    memory.seconds = 2.0
    kept = Kept(await acquire(memory, holder(), ignore_notice))
    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.keep)
        await trio.sleep_until(begun + moment)
        await kept.lease.release()
        assert LEASE not in memory.objects
        nursery.cancel_scope.cancel()

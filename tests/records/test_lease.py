"""At any time at most one start holds the lease; one that may have lost it stops before another may begin."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import pytest
import trio

from job.day.result import ShutdownReason
from job.execution.shutdown import BUDGETS, Shutdown, ShutdownError
from job.records import lease as module
from job.records.lease import (
    LASTS_SECONDS,
    LEASE,
    RELEASE_SECONDS,
    RENEW_SECONDS,
    TRUSTED_SECONDS,
    WATCH_SECONDS,
    BusyError,
    Holder,
    Lease,
    OnWait,
    acquire,
    peek,
)
from job.storage.store import ObjectStore, StoredObject
from job.text.messages import Message
from tests.support.records import DAY, start_at
from tests.support.stores import Memory, memory, read_many
from tests.support.virtual_time import MachineClock, machine_clock

__all__ = ["machine_clock", "memory"]


def holder(owner: str = "one", **changes: Any) -> Holder:
    known: dict[str, Any] = {
        "owner": owner,
        "day": "2026-11-24",
        "since": "8999-12-31T23:59:59+00:00",  # a holder's clock is not trusted
        "execution": None,
        "task_attempt": 0,
    }
    return Holder(**(known | changes))


async def take(store: ObjectStore, me: Holder, notify: OnWait = lambda _: None, *, waits: bool = True) -> Lease:
    """The lease of a start that is killed later, unless it releases it."""
    return await module._acquire(store, me, notify, waits=waits)


def there(store: Memory) -> Holder:
    return Holder.model_validate_json(store.objects[LEASE].data)


class Kept:
    """A lease that is being renewed, and its end."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.shutdown = Shutdown()
        self.troubles: list[Message | None] = []

    async def keep(self) -> None:
        await self.lease.renew_forever(self.shutdown, self.troubles.append)


@asynccontextmanager
async def renewed(store: Memory) -> AsyncIterator[Kept]:
    """A start that takes the lease and renews it."""
    kept = Kept(await take(store, holder()))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.keep)
        await trio.testing.wait_all_tasks_blocked()
        yield kept
        nursery.cancel_scope.cancel()


# --- who gets it ---


@pytest.mark.parametrize("ends", ["by an error", "by a cancellation"])
async def test_what_was_acquired_is_released_at_the_end_whatever_happened(memory: Memory, ends: str) -> None:
    memory.seconds = 1.0
    with trio.move_on_after(1.5), pytest.raises(RuntimeError) if ends == "by an error" else nullcontext():
        async with acquire(memory, holder(), lambda _: None, waits=True):
            assert there(memory) == holder()
            if ends == "by an error":
                raise RuntimeError
            await trio.sleep(9)
    assert there(memory).is_released
    assert memory.count("replace") == 1


async def test_a_start_that_cannot_release_its_lease_ends_all_the_same(memory: Memory) -> None:
    async with acquire(memory, holder(), lambda _: None, waits=True):
        memory.refuse = lambda _verb, _name: True
    memory.refuse = lambda _verb, _name: False
    memory.objects.clear()
    async with acquire(memory, holder(), lambda _: None, waits=True):
        memory.seconds = 1e6
    assert trio.current_time() <= RELEASE_SECONDS


async def test_a_start_waits_for_a_living_holder_to_its_end_and_says_for_whom(memory: Memory) -> None:
    first, said = await take(memory, holder(execution="nightly-x")), list[Message]()

    async def work() -> None:
        with trio.move_on_after(10 * LASTS_SECONDS):
            await Kept(first).keep()
        await first.release()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        second = await take(memory, holder("two"), said.append)
        nursery.cancel_scope.cancel()
    assert second.has_waited
    assert there(memory) == holder("two")
    assert 10 * LASTS_SECONDS <= trio.current_time() <= 10 * LASTS_SECONDS + WATCH_SECONDS
    who = "the start for 2026-11-24, at work since 8999-12-31 23:59 UTC, nightly-x"
    waiting = f"Waiting until another start has ended, or shows no sign of life for 60 s: {who}"
    assert [*map(str, said)] == [waiting]


async def test_a_start_that_does_not_wait_stands_back_before_a_living_holder(memory: Memory) -> None:
    async with renewed(memory):
        with pytest.raises(BusyError, match=r"^the start for 2026-11-24, at work since 8999-"):
            await take(memory, holder("two"), waits=False)
    assert there(memory) == holder()
    assert trio.current_time() <= RENEW_SECONDS + WATCH_SECONDS


async def test_a_lease_that_is_renewed_between_the_last_look_and_the_takeover_is_not_taken(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, read = await take(memory, holder()), memory.read

    def peek(name: str) -> StoredObject | None:
        seen = read(name)
        if trio.current_time() >= LASTS_SECONDS:
            monkeypatch.setattr(memory, "read", read)
            first.stored = first._renewed()
        return seen

    monkeypatch.setattr(memory, "read", peek)
    with pytest.raises(BusyError):
        await take(memory, holder("two"), waits=False)
    assert there(memory) == holder()


RETRY = {"execution": "x"}


@pytest.mark.parametrize(
    ("old", "new", "enters"),
    [
        (RETRY, {**RETRY, "task_attempt": 1, "day": "2026-11-25"}, True),
        ({**RETRY, "task_attempt": 1}, {**RETRY, "task_attempt": 1}, False),
        ({**RETRY, "task_attempt": 1}, RETRY, False),
        (RETRY, {"execution": "y", "task_attempt": 1}, False),
        ({}, {"task_attempt": 1}, False),
    ],
)
async def test_a_retry_of_the_same_execution_takes_over_at_once(
    memory: Memory, old: dict[str, Any], new: dict[str, Any], enters: bool
) -> None:
    """Cloud Run has started it after the earlier try had ended; any other lease is watched."""
    await take(memory, holder("old", **old))
    lease = await take(memory, holder("new", **new))
    assert lease.has_waited is not enters
    assert trio.current_time() == (0 if enters else LASTS_SECONDS)


async def test_watching_a_lease_begins_when_its_first_read_has_ended(memory: Memory) -> None:
    """A slow read may return what was written during the read."""
    async with renewed(memory) as kept:
        await trio.sleep(1)
        async with trio.open_nursery() as looking:
            memory.seconds = 2 * RENEW_SECONDS  # for the look that begins now: it sees the renewal
            looking.start_soon(take, memory, holder("two"))
            await trio.testing.wait_all_tasks_blocked()
            memory.seconds = 0
            await trio.sleep(RENEW_SECONDS)
            kept.lease.store = Memory(refuse=lambda _verb, _name: True)
    assert kept.lease.expiry.monotonic == RENEW_SECONDS + TRUSTED_SECONDS
    assert trio.current_time() >= kept.lease.expiry.monotonic + BUDGETS[ShutdownReason.LEASE_LOST].cards


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[1]"])
async def test_an_unreadable_lease_is_held_until_it_is_stale_whatever_the_timestamps_say(
    memory: Memory, content: bytes, waits: bool
) -> None:
    memory.objects[LEASE] = StoredObject(content, "1", 1e9)
    said: list[Message] = []
    await take(memory, holder(), said.append, waits=waits)
    assert LASTS_SECONDS <= trio.current_time() < LASTS_SECONDS + 5
    assert str(said[0]).endswith(" for 60 s: its lease cannot be read")


async def test_a_lease_that_is_released_before_it_is_read_is_acquired(memory: Memory) -> None:
    await take(memory, holder())
    read = memory.read

    def released_first(name: str, limit: int | None = None) -> Any:
        memory.objects.pop(LEASE, None)
        return read(name, limit)

    memory.read = released_first  # type: ignore[method-assign]
    await take(memory, holder("two"))
    assert LEASE in memory.objects
    assert trio.current_time() == 0


# --- what stays ---


async def test_a_released_lease_stays_with_what_was_begun_and_is_acquired_at_once(memory: Memory) -> None:
    """Of days that are so old that nothing is recorded of them any more it knows nothing."""
    days = ["2026-09-24", "2026-09-25", "2026-11-24", "2026-11-23"]
    for number, day in enumerate(days):
        lease = await take(memory, holder(f"{number}"))
        lease.holder = lease.holder.with_begun(start_at(day, schedule=f"{number} 2 * * *"))
        await lease.release()
    lease = await take(memory, holder("last", execution="x"))
    assert not there(memory).is_released
    assert there(memory).begun == ("2026-09-25", "2026-11-23", "2026-11-24")
    assert (there(memory).zone, there(memory).schedule) == ("Asia/Shanghai", "3 2 * * *")
    assert (trio.current_time(), lease.has_waited) == (0, False)


@pytest.mark.parametrize("how", ["a takeover", "a retry"])
async def test_what_was_begun_is_known_to_who_takes_over(memory: Memory, how: str) -> None:
    lease = await take(memory, holder("old", execution="x"))
    lease.holder = lease.holder.with_begun(start_at())
    lease.stored = lease._renewed()  # and then it is killed
    new = holder("new", execution="x", task_attempt=1) if how == "a retry" else holder("new")
    assert (await take(memory, new)).holder.begun == (DAY,)


@pytest.mark.parametrize(("age", "is_released", "is_at_work"), [(0, False, True), (61, False, False), (0, True, False)])
async def test_who_seems_to_be_at_work_has_renewed_and_not_released_the_lease(
    memory: Memory, monkeypatch: pytest.MonkeyPatch, age: int, is_released: bool, is_at_work: bool
) -> None:
    monkeypatch.setattr("job.records.lease.time.time", lambda: 1e9)
    memory.clock = lambda: 1e9 - age
    memory.create(LEASE, holder(is_released=is_released).model_dump_json().encode())
    seen = await peek(memory)
    assert seen is not None
    assert (seen.owner, seen.is_released) == ("one", not is_at_work)


# --- keeping it ---


async def test_a_lease_is_renewed_whatever_the_clocks_say(memory: Memory) -> None:
    memory.clock = lambda: 5e9 - trio.current_time()
    kept = Kept(await take(memory, holder()))
    with trio.move_on_after(10 * RENEW_SECONDS + 1):
        await kept.keep()
    assert memory.count("replace", LEASE) == 10
    assert kept.shutdown.reason is None
    assert kept.lease.expiry.monotonic == pytest.approx(10 * RENEW_SECONDS + TRUSTED_SECONDS)


@pytest.mark.parametrize("how", ["refused", "hanging"])
async def test_an_outage_that_lasts_stops_the_holder_in_time(memory: Memory, how: str) -> None:
    kept = Kept(await take(memory, holder()))
    if how == "refused":
        memory.refuse = lambda _verb, _name: True
    else:
        memory.seconds = 1e6
    await kept.keep()
    assert trio.current_time() == pytest.approx(TRUSTED_SECONDS)
    assert kept.shutdown.reason is ShutdownReason.LEASE_LOST
    words = "503 from the fake" if how == "refused" else "storage did not answer in time"
    said = str(kept.shutdown.not_renewed)
    assert said == f"could not write _lease.json: {words}"
    assert {*map(str, kept.troubles)} == ({said} if how == "refused" else set())


@pytest.mark.parametrize("after_outage", [False, True])
async def test_a_lease_that_another_has_taken_stops_its_holder(memory: Memory, after_outage: bool) -> None:
    kept = Kept(await take(memory, holder()))
    memory.refuse = lambda verb, _name: after_outage and verb == "replace" and trio.current_time() < 20
    memory.objects[LEASE] = memory._write("replace", LEASE, b"another's")
    await kept.keep()
    assert trio.current_time() == pytest.approx(21 if after_outage else RENEW_SECONDS)
    assert kept.shutdown.reason is ShutdownReason.LEASE_LOST
    assert kept.shutdown.not_renewed is None, "storage is not to blame"
    assert not kept.lease.is_held()


@pytest.mark.parametrize(
    ("slept", "is_held"), [(TRUSTED_SECONDS - RENEW_SECONDS - 1, True), (TRUSTED_SECONDS - 10, False)]
)
async def test_the_time_for_which_the_machine_sleeps_counts(
    memory: Memory, machine_clock: MachineClock, slept: float, is_held: bool
) -> None:
    """The first task that wakes up may be a worker, which must not request a card."""
    async with renewed(memory) as kept:
        await trio.sleep(10)
        machine_clock.slept += slept
        assert kept.lease.is_held() is is_held
        with nullcontext() if is_held else pytest.raises(ShutdownError):
            kept.shutdown.raise_if_requested()
        await trio.sleep(10)
    assert kept.shutdown.reason is (None if is_held else ShutdownReason.LEASE_LOST)
    assert memory.count("replace", LEASE) == is_held, "a start that must stop does not renew its lease"


@pytest.mark.parametrize("verb", ["create", "replace"])
async def test_a_sleep_during_a_request_counts(memory: Memory, machine_clock: MachineClock, verb: str) -> None:
    """Storage may have written the lease before it."""

    def sleep(asked: str, _name: str) -> bool:
        machine_clock.slept += 100 if asked == verb else 0
        return False

    memory.refuse = sleep
    async with renewed(memory) as kept:
        await trio.sleep(RENEW_SECONDS + 1)
        with pytest.raises(ShutdownError):
            kept.shutdown.raise_if_requested()
        assert not kept.lease.is_held()


@pytest.mark.parametrize("moment", [15.1, 15.5, 16.5, 16.9])
async def test_a_lease_is_given_back_though_it_is_being_renewed(memory: Memory, moment: float) -> None:
    memory.seconds = 2.0
    kept = Kept(await take(memory, holder()))
    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.keep)
        await trio.sleep_until(begun + moment)
        await kept.lease.release()
        assert there(memory).is_released
        nursery.cancel_scope.cancel()


async def test_a_lease_is_acquired_renewed_and_released_ahead_of_all_that_queues(memory: Memory) -> None:
    memory.seconds = 15.0
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(read_many, memory, [f"n{number}" for number in range(64)])
        await trio.testing.wait_all_tasks_blocked()
        kept = Kept(await take(memory, holder()))
        assert trio.current_time() == memory.seconds
        nursery.start_soon(kept.keep)
        await trio.sleep(5 * TRUSTED_SECONDS)
        assert kept.lease.is_held()
        assert kept.shutdown.reason is None
        with trio.fail_after(2 * memory.seconds + 1):  # maybe after a renewal
            await kept.lease.release()
        nursery.cancel_scope.cancel()

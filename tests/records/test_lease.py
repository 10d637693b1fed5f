"""At any time one run holds the lease; one that cannot be sure of it stops before another may begin."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import MockClock

from job.execution.shutdown import Shutdown, ShutdownError, ShutdownReason
from job.messages import Message
from job.records import lease as module
from job.records.lease import (
    LASTS_SECONDS,
    LEASE,
    RENEW_SECONDS,
    TRUSTED_SECONDS,
    BusyError,
    Holder,
    Lease,
    acquire,
    machine,
)
from job.storage.store import ConflictError, ObjectStore, StorageError, StoredObject, in_thread
from tests.support.stores import Memory, memory, store

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["memory", "store"]


def holder(owner: str = "one", **changes: Any) -> Holder:
    """A run on this machine, which is alive."""
    known: dict[str, Any] = {
        "owner": owner,
        "run_id": f"run-{owner}",
        "plan": "the plan",
        "day": "2026-11-24",
        "since": "9999-12-31T23:59:59+00:00",  # a holder's clock is not trusted
        "machine": machine(),
        "pid": os.getppid() if owner == "one" else os.getpid(),
        "execution": None,
        "task_attempt": 0,
    }
    return Holder(**(known | changes))


def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


async def there(store: ObjectStore) -> Holder | None:
    stored = await in_thread(lambda: store.read(LEASE))
    return None if stored is None else Holder.model_validate_json(stored.data)


async def test_who_comes_second_learns_who_holds_it(store: ObjectStore) -> None:
    await acquire(store, holder())
    for plan, same in (("the plan", True), ("another", False)):
        with pytest.raises(BusyError, match=r"^run run-one of 2026-11-24, since 9999-") as error:
            await acquire(store, holder("two", plan=plan))
        assert error.value.same_plan is same
    assert await there(store) == holder()
    assert await in_thread(lambda: store.names("_")) == [LEASE], "what it knocked with is gone"


async def test_a_lease_that_was_given_back_is_free(store: ObjectStore) -> None:
    first = await acquire(store, holder())
    await first.release()
    assert await there(store) is None
    await acquire(store, holder("two"))
    assert await there(store) == holder("two")


@pytest.fixture
def stale(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes every lease stale from now on."""
    return lambda: monkeypatch.setattr(module, "LASTS_SECONDS", 0.0)


async def test_a_stale_lease_is_taken_over_and_its_holder_finds_out(
    store: ObjectStore, stale: Callable[[], None]
) -> None:
    first = await acquire(store, holder())
    stale()
    await acquire(store, holder("two"))
    with pytest.raises(ConflictError):
        await in_thread(first._renewed)
    await first.release()
    assert await there(store) == holder("two"), "it gives back no lease but its own"


@pytest.mark.parametrize("state", ["free", "stale"])
async def test_of_many_who_want_it_one_gets_it(store: ObjectStore, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    if state == "stale":
        await acquire(store, holder())
    got: list[str] = []
    busy: list[str] = []
    age = module._age

    def only_the_first_is_old(store: ObjectStore, there: StoredObject, me: Holder) -> float:
        return 1e9 if b'"owner":"one"' in there.data else age(store, there, me)

    monkeypatch.setattr(module, "_age", only_the_first_is_old)
    monkeypatch.setattr(module, "_is_running", lambda _pid: True)

    async def want(owner: str) -> None:
        try:
            await acquire(store, holder(owner, pid=int(owner[1:])))
        except BusyError:
            busy.append(owner)
        else:
            got.append(owner)

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(want, f"w{number}")
    assert len(got) == 1
    assert len(busy) == 4
    kept = await there(store)
    assert kept is not None
    assert kept.owner == got[0]


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
async def test_who_may_enter_again(store: ObjectStore, old: dict[str, Any], new: dict[str, Any], enters: bool) -> None:
    """Whoever can know that the holder has ended, as its process number is free; others have to watch the lease."""
    await acquire(store, holder("old", pid=dead_pid(), **old))
    if enters:
        await acquire(store, holder("new", **new))
    else:
        with pytest.raises(trio.TooSlowError), trio.fail_after(0.3):
            await acquire(store, holder("new", **new))


async def test_a_process_is_not_its_own_twin(store: ObjectStore) -> None:
    """A container that was started again may give the same number to the same process."""
    await acquire(store, holder(pid=os.getpid()))
    await acquire(store, holder("two", pid=os.getpid()))
    assert await there(store) == holder("two")


async def test_a_holder_elsewhere_is_alive_once_it_renews(memory: Memory, autojump_clock: MockClock) -> None:
    kept = Kept(await acquire(memory, holder(machine="elsewhere")))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.keep)
        with pytest.raises(BusyError):
            await acquire(memory, holder("two"))
        assert trio.current_time() < RENEW_SECONDS + 5
        nursery.cancel_scope.cancel()


async def test_a_holder_elsewhere_was_alive_where_it_gives_the_lease_back(
    memory: Memory, autojump_clock: MockClock
) -> None:
    """Twins of one tick, of a run shorter than a renewal takes to come: the second must not do it all again."""
    first = await acquire(memory, holder(machine="elsewhere"))

    async def end() -> None:
        await trio.sleep(RENEW_SECONDS / 2)
        await first.release()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end)
        with pytest.raises(BusyError) as error:
            await acquire(memory, holder("two"))
    assert error.value.same_plan
    assert LEASE not in memory.objects
    await acquire(memory, holder("three"))


async def test_a_holder_elsewhere_that_never_renews_is_followed(memory: Memory, autojump_clock: MockClock) -> None:
    await acquire(memory, holder(machine="elsewhere"))
    await acquire(memory, holder("two"))
    assert LASTS_SECONDS <= trio.current_time() < LASTS_SECONDS + 5


async def test_the_same_plan_of_another_day_is_other_work(store: ObjectStore) -> None:
    await acquire(store, holder())
    with pytest.raises(BusyError) as error:
        await acquire(store, holder("two", day="2026-11-25"))
    assert not error.value.same_plan


async def test_a_living_twin_of_the_same_run_keeps_it(store: ObjectStore) -> None:
    mine = {"run_id": "r", "machine": machine()}
    await acquire(store, holder("old", pid=os.getpid(), **mine))
    with pytest.raises(BusyError) as error:
        await acquire(store, holder("new", pid=os.getpid() + 1, **mine))
    assert error.value.same_plan


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[1]"])
async def test_a_lease_that_nobody_can_read_holds_until_it_is_stale(
    store: ObjectStore, stale: Callable[[], None], content: bytes
) -> None:
    await in_thread(lambda: store.create(LEASE, content))
    with pytest.raises(trio.TooSlowError), trio.fail_after(0.3):
        await acquire(store, holder())
    stale()
    await acquire(store, holder())


async def test_a_lease_that_storage_refuses_is_not_had(memory: Memory, autojump_clock: MockClock) -> None:
    memory.refuse = lambda verb, _name: verb == "create"
    with pytest.raises(StorageError):
        await acquire(memory, holder())


async def test_a_release_in_between_is_no_obstacle(memory: Memory, autojump_clock: MockClock) -> None:
    first = await acquire(memory, holder())
    read = memory.read

    def released_first(name: str, limit: int | None = None) -> Any:
        memory.objects.pop(LEASE, None)
        return read(name, limit)

    memory.read = released_first  # type: ignore[method-assign]
    await acquire(memory, holder("two"))
    assert first.holder.owner == "one"


class Kept:
    """A lease that is kept in virtual time, and what became of it."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.shutdown = Shutdown()
        self.troubles: list[Message | None] = []

    async def keep(self) -> None:
        await self.lease.renew_forever(self.shutdown, self.troubles.append)


@pytest.mark.parametrize("clock", [trio.current_time, lambda: 5e9 - trio.current_time(), lambda: 0.0])
async def test_a_lease_is_renewed_whatever_the_clocks_say(
    memory: Memory, clock: Callable[[], float], autojump_clock: MockClock
) -> None:
    memory.clock = clock
    kept = Kept(await acquire(memory, holder()))
    with trio.move_on_after(10 * RENEW_SECONDS + 1):
        await kept.keep()
    assert memory.count("replace", LEASE) == 10
    assert kept.shutdown.reason is None
    assert kept.lease.trusted_until == pytest.approx(10 * RENEW_SECONDS + TRUSTED_SECONDS)


async def test_a_lease_is_fresh_to_others_for_as_long_as_it_is_trusted(
    memory: Memory, autojump_clock: MockClock
) -> None:
    """And stale to them only when the last call of its holder has been cut off."""
    memory.seconds = 3.0
    kept = Kept(await acquire(memory, holder()))
    memory.refuse = lambda verb, _name: verb == "replace"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.keep)
        while True:
            try:
                memory.refuse = lambda verb, _name: verb == "replace" and trio.current_time() < 55
                await acquire(memory, holder("two"))
            except BusyError:
                await trio.sleep(0.1)
            else:
                break
        nursery.cancel_scope.cancel()
    assert trio.current_time() >= LASTS_SECONDS
    assert kept.shutdown.reason is ShutdownReason.LEASE_LOST
    assert kept.lease.trusted_until + 5.0 < LASTS_SECONDS


async def test_an_outage_that_ends_in_time_is_survived(memory: Memory, autojump_clock: MockClock) -> None:
    kept = Kept(await acquire(memory, holder()))
    memory.refuse = lambda _verb, _name: 14 < trio.current_time() < 48
    with trio.move_on_after(100):
        await kept.keep()
    assert kept.shutdown.reason is None
    assert "503 from the fake" in str(kept.troubles[0])
    assert kept.troubles[-1] is None


async def test_a_renewal_whose_answer_was_lost_is_no_loss(memory: Memory, autojump_clock: MockClock) -> None:
    kept = Kept(await acquire(memory, holder()))
    memory.lose = lambda verb, _name: verb == "replace" and trio.current_time() < 20
    with trio.move_on_after(100):
        await kept.keep()
    assert kept.shutdown.reason is None
    assert [trouble is None for trouble in kept.troubles][:3] == [False, True, True]


@pytest.mark.parametrize("how", ["refused", "hanging"])
async def test_an_outage_that_lasts_stops_the_run_in_time(memory: Memory, how: str, autojump_clock: MockClock) -> None:
    kept = Kept(await acquire(memory, holder()))
    if how == "refused":
        memory.refuse = lambda _verb, _name: True
    else:
        memory.seconds = 1e6
    await kept.keep()
    assert trio.current_time() == pytest.approx(TRUSTED_SECONDS)
    assert kept.shutdown.reason is ShutdownReason.LEASE_LOST


async def test_a_lease_that_another_has_stops_the_run_at_the_next_renewal(
    memory: Memory, autojump_clock: MockClock
) -> None:
    kept = Kept(await acquire(memory, holder()))
    memory.objects[LEASE] = memory._write("replace", LEASE, b"another's")
    await kept.keep()
    assert trio.current_time() == pytest.approx(RENEW_SECONDS)
    assert kept.shutdown.reason is ShutdownReason.LEASE_LOST


async def test_after_a_long_sleep_no_call_starts_before_the_lease_is_looked_at(memory: Memory) -> None:
    """The first task that wakes up may be a worker: it must not ask for a card."""
    clock = trio.lowlevel.current_clock()
    assert not isinstance(clock, MockClock)
    kept = Kept(await acquire(memory, holder()))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.keep)
        await trio.testing.wait_all_tasks_blocked()
        kept.shutdown.raise_if_requested()
        kept.shutdown.no_start_after = trio.current_time()  # as if the time until then had been slept through
        with pytest.raises(ShutdownError):
            kept.shutdown.raise_if_requested()
        nursery.cancel_scope.cancel()
    assert kept.shutdown.reason is ShutdownReason.LEASE_LOST


@pytest.mark.parametrize("moment", [15.1, 15.5, 16.5, 16.9])
async def test_a_lease_is_given_back_though_it_is_being_renewed(
    memory: Memory, moment: float, autojump_clock: MockClock
) -> None:
    memory.seconds = 2.0
    kept = Kept(await acquire(memory, holder()))
    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.keep)
        await trio.sleep_until(begun + moment)
        await kept.lease.release()
        assert LEASE not in memory.objects
        nursery.cancel_scope.cancel()

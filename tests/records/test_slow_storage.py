"""However slow storage is, a record can be read: the lease is renewed meanwhile."""

import json

import pytest
import trio
import trio.testing

from job.day.attempt import FORMAT, results_name
from job.execution.shutdown import Shutdown
from job.records.lease import RENEW_SECONDS, TRUSTED_SECONDS
from job.records.record import WRITE_SECONDS, read_journal
from job.storage.store import THREADS, read_many
from tests.records.test_journal import EMPTY, Notes, Numbers, numbered
from tests.records.test_lease import holder, take
from tests.support.records import DAY
from tests.support.stores import Memory, memory

__all__ = ["memory"]


async def test_a_lease_is_acquired_renewed_and_released_ahead_of_all_that_queues(memory: Memory) -> None:
    memory.seconds, shutdown = 15.0, Shutdown()
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(read_many, memory, [f"n{number}" for number in range(64)])
        await trio.testing.wait_all_tasks_blocked()
        lease = await take(memory, holder())
        assert trio.current_time() == memory.seconds
        nursery.start_soon(lease.renew_forever, shutdown, lambda _trouble: None)
        await trio.sleep(5 * TRUSTED_SECONDS)
        assert lease.is_held()
        assert shutdown.reason is None
        with trio.fail_after(2 * memory.seconds + 1):  # maybe after a renewal
            await lease.release()
        nursery.cancel_scope.cancel()


async def test_a_long_record_is_read_under_a_lease_that_is_renewed_in_time(memory: Memory) -> None:
    notes = Notes(memory)
    count = 16 * THREADS + 1
    for _ in range(count):
        notes.note()
        await notes.journal.flush()
    lease, shutdown, read = await take(memory, holder()), Shutdown(), Numbers()
    memory.seconds = 6.4
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lease.renew_forever, shutdown, lambda _trouble: None)
        await read_journal(memory, DAY, {1: count}, read)
        nursery.cancel_scope.cancel()
    assert read.found == list(range(count))
    assert shutdown.reason is None
    assert trio.current_time() - began > 2 * TRUSTED_SECONDS, "or nothing was proven"
    assert lease.expiry.monotonic > trio.current_time() + TRUSTED_SECONDS - RENEW_SECONDS - 2 * memory.seconds


@pytest.mark.slow
async def test_a_night_of_three_hours_is_read_in_half_a_minute(memory: Memory) -> None:
    """It has an object for each second; a bucket takes 50 ms for a request, and one is enough for an object."""
    count = round(3 * 3600 / WRITE_SECONDS)
    header = {"format": FORMAT, "plan": EMPTY.digest()}
    for place in range(count):
        name = results_name(DAY, 1, place)
        line = json.dumps({**header, "name": name}).encode()
        memory.create(name, b"\n".join([line, numbered(place).line(), b""]))
    memory.seconds, began, read = 0.05, trio.current_time(), Numbers()
    await read_journal(memory, DAY, {1: count}, read)
    assert read.found == list(range(count))
    assert trio.current_time() - began < 30

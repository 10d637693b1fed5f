"""However slow storage is, a record can be read: the lease is renewed meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
import trio.testing

from job.execution.shutdown import Shutdown
from job.records.lease import RENEW_SECONDS, TRUSTED_SECONDS
from job.records.record import read_journal
from job.storage.store import read_many
from tests.records.test_journal import Notes, Numbers
from tests.records.test_lease import holder, take
from tests.support.records import DAY
from tests.support.stores import Memory, memory

if TYPE_CHECKING:
    pass

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
    for _ in range(129):
        notes.note()
        await notes.journal.flush()
    lease, shutdown, read = await take(memory, holder()), Shutdown(), Numbers()
    memory.seconds = 6.4  # two requests of 3.2 s each, as a bucket needs them for an object
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lease.renew_forever, shutdown, lambda _trouble: None)
        await read_journal(memory, DAY, {1: 129}, read)
        nursery.cancel_scope.cancel()
    assert read.found == list(range(129))
    assert shutdown.reason is None
    assert trio.current_time() - began > 2 * TRUSTED_SECONDS, "or nothing was proven"
    assert lease.expiry.monotonic > trio.current_time() + TRUSTED_SECONDS - RENEW_SECONDS - 2 * memory.seconds

"""A bucket that is away for eight seconds fails no request; one that is away for longer fails it after 20 seconds."""

import random
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import pytest
import trio
from google.api_core.retry import retry_base, retry_unary

from job.storage import gcs
from job.storage.store import ObjectStore, StorageError, StoredObject, UnreachableError, in_thread
from job.text.messages import duration
from tests.simulators import broken, do, when
from tests.simulators.seen import Seen
from tests.simulators.service import Do, Fault
from tests.support.stores import Bucket, open_bucket

pytestmark = pytest.mark.needs("emulator")

T = TypeVar("T")
OUTAGE = 8.0
FAULTS: dict[str, Do] = {
    "429": do.status(429),
    "reset before": broken.reset(),
    "503 after": do.late_status(503),
    "half an answer": broken.reset_in_body(),
}


@dataclass
class Clock:
    """Virtual time for Google's library and for the store, in one thread; earlier tests have left others."""

    now: float = 0.0
    thread: int = 0

    def monotonic(self) -> float:
        return self.now if threading.get_ident() == self.thread else time.monotonic()

    def sleep(self, seconds: float) -> None:
        if threading.get_ident() == self.thread:
            self.now += seconds
        else:
            time.sleep(seconds)

    async def run(self, operation: Callable[[], T]) -> T:
        def work() -> T:
            self.thread = threading.get_ident()
            return operation()

        return await in_thread(work)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """That of the operations on a bucket. Between two tries it passes as slowly as it may."""
    made = Clock()
    for module in (retry_base, retry_unary, gcs):
        monkeypatch.setattr(module, "time", made)
    monkeypatch.setattr(random, "uniform", lambda _least, most: most)
    return made


@pytest.fixture
async def bucket(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bucket]:
    async with open_bucket(nursery, monkeypatch) as opened:
        yield opened


async def do_all(store: ObjectStore, name: str, clock: Clock, before: Callable[[], None]) -> None:
    """Every operation on one object; `before` is called before each."""

    async def asked(operation: Callable[[], object]) -> object:
        before()
        return await clock.run(operation)

    made = await asked(partial(store.create, name, b"1"))
    assert isinstance(made, StoredObject)
    assert await asked(partial(store.read, name)) == made
    assert await asked(partial(store.names, name)) == [name]
    changed = await asked(partial(store.replace, name, b"2", made.generation))
    assert isinstance(changed, StoredObject)
    assert await asked(partial(store.read, name)) == changed
    await asked(partial(store.delete, name, changed.generation))
    assert await asked(partial(store.read, name)) is None


@pytest.mark.parametrize("name", FAULTS)
async def test_an_outage_of_eight_seconds_fails_no_operation(bucket: Bucket, clock: Clock, name: str) -> None:
    began = 0.0

    def away(_: Seen) -> bool:
        return clock.now < began + OUTAGE

    def begin() -> None:
        nonlocal began
        assert clock.now >= began + OUTAGE, "the operation before was not done in an outage"
        began = clock.now

    clock.now = OUTAGE
    bucket.script(Fault(away, FAULTS[name]))
    await do_all(bucket.store, name.replace(" ", "-"), clock, begin)


@pytest.mark.parametrize("verb", ["create", "read"])
async def test_a_longer_outage_fails_an_operation_after_twenty_seconds_and_says_after_how_many(
    bucket: Bucket, clock: Clock, verb: str
) -> None:
    bucket.script(Fault(when.always, do.status(503)))
    with pytest.raises(UnreachableError) as error:
        await clock.run(lambda: bucket.store.read("a") if verb == "read" else bucket.store.create("a", b""))
    assert gcs.PATIENCE_SECONDS - 2.0 <= clock.now <= gcs.PATIENCE_SECONDS
    said = "Error: 503 simulated front end"
    tried = duration(clock.now)
    assert str(error.value) == f"gs://simulated-runs/runs/a: ServiceUnavailable: {said} (tried for {tried})"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (do.status(503), UnreachableError),
        (do.hang(), UnreachableError),
        (do.damaged(), UnreachableError),
        (do.body([]), UnreachableError),
        (do.status(403), StorageError),
        (do.status(400), StorageError),
    ],
    ids=["503", "hang", "damaged", "not Google's", "403", "400"],
)
async def test_only_what_a_person_has_to_correct_is_not_an_outage(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, fault: Do, kind: type[StorageError]
) -> None:
    await in_thread(lambda: bucket.store.create("a", b"1"))
    monkeypatch.setitem(gcs._ONCE, "timeout", 0.05)
    monkeypatch.setattr(gcs, "_RETRY", gcs._RETRY.with_timeout(0.1))
    bucket.script(Fault(when.always, fault))
    with pytest.raises(StorageError) as error:
        await in_thread(lambda: bucket.store.read("a"))
    assert type(error.value) is kind

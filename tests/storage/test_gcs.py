"""Whatever Cloud Storage, or another server in its place, answers is used, requested again, or a `StorageError`."""

import gzip
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from types import SimpleNamespace
from typing import TypeVar

import pytest
import trio
from google.api_core.retry import retry_base, retry_unary
from requests import Session

from job.storage import gcs
from job.storage.store import ConflictError, ObjectStore, StorageError, StoredObject, UnreachableError, in_thread
from job.text.messages import duration
from tests.engines.test_id_tokens import Credentials
from tests.simulators import broken, do, when
from tests.simulators.do import in_turn
from tests.simulators.seen import Seen
from tests.simulators.service import Do, Fault, Visit
from tests.simulators.world import RUNS_BUCKET
from tests.support.stores import Bucket, open_bucket

pytestmark = pytest.mark.needs("emulator")

T = TypeVar("T")
NOT_GOOGLE = r": the answer is not Cloud Storage's"


def asks_content(seen: Seen) -> bool:
    return ("alt", "media") in seen.query


def asks_metadata(seen: Seen) -> bool:
    return seen.method == "GET" and "/o/" in seen.path and not asks_content(seen)


def asks_names(seen: Seen) -> bool:
    return seen.method == "GET" and seen.path.endswith("/o")


def uploads(seen: Seen) -> bool:
    return seen.method == "POST"


@pytest.fixture
async def bucket(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bucket]:
    async with open_bucket(nursery, monkeypatch) as opened:
        yield opened


@pytest.fixture
async def store(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """That of the bucket. Operations are repeated at once, not after a pause."""
    monkeypatch.setattr(gcs, "_RETRY", gcs._RETRY.with_delay(initial=0.0, maximum=0.0))
    return bucket.store


@contextmanager
def only_once() -> Iterator[None]:
    """Until then no operation is repeated."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(gcs, "_RETRY", gcs._RETRY.with_timeout(0.0))
        yield


async def put(bucket: Bucket, data: bytes) -> None:
    await bucket.emulator.put(RUNS_BUCKET, "runs/a", data)


async def content(store: ObjectStore, name: str = "a") -> bytes | None:
    stored = await in_thread(lambda: store.read(name))
    return None if stored is None else stored.data


async def test_an_object_that_is_saved_while_it_is_read_is_read_again(store: ObjectStore, bucket: Bucket) -> None:
    await put(bucket, b"old")
    for change in (do.meanwhile(partial(put, bucket, b"new")), do.status(404), do.status(412)):
        bucket.script(Fault(asks_content, in_turn(change, do.nothing())))
        assert await content(store) == b"new"
        assert len(bucket.front.requests) == 4, "metadata and content, twice"
    bucket.script(Fault(asks_content, do.status(412)))
    with only_once(), pytest.raises(UnreachableError, match=r"runs/a: ConnectionError: changed while it was read"):
        await content(store)


async def test_a_download_is_requested_from_no_other_host(store: ObjectStore, bucket: Bucket) -> None:
    """The library would send the token to whatever host the metadata name."""
    await put(bucket, b"data")
    elsewhere = f"{bucket.elsewhere.url}/download?alt=media"
    bucket.script(Fault(asks_metadata, do.edited(lambda answer: answer | {"mediaLink": elsewhere})))
    assert await content(store) == b"data"
    assert bucket.elsewhere.requests == []


async def test_a_compressed_object_is_not_unpacked(store: ObjectStore, bucket: Bucket) -> None:
    packed = gzip.compress(b"data" * 1_000_000)
    await bucket.emulator.put(RUNS_BUCKET, "runs/a", packed, "gzip")
    assert await content(store) == packed


BRACKETS, PAGE = do.raw_body(b"[" * 100_000), do.raw_body(b"<html></html>", "text/html")
ODD_ANSWERS: dict[str, Do] = {
    "array": do.body([]),
    "no field": do.body({}),
    "no size": do.edited(lambda answer: {k: v for k, v in answer.items() if k != "size"}),
    "odd size": do.edited(lambda answer: answer | {"size": [1]}),
    "odd generation": do.edited(lambda answer: answer | {"generation": "x"}),
    "no time": do.edited(lambda answer: answer | {"updated": None}),
    "html": PAGE,
    "brackets": BRACKETS,
}


async def requested_again(
    bucket: Bucket, which: Callable[[Seen], bool], odd: Do, use: Callable[[], T], match: str = ""
) -> T:
    """What a use of storage returns if the first of these requests has an odd answer. If all have, it fails."""
    bucket.script(Fault(which, odd))
    with only_once(), pytest.raises(UnreachableError, match=match + NOT_GOOGLE):
        await in_thread(use)
    bucket.script(Fault(which, in_turn(odd, do.nothing())))
    return await in_thread(use)


async def test_unusable_metadata_are_requested_again(store: ObjectStore, bucket: Bucket) -> None:
    await put(bucket, b"data")
    for name, odd in ODD_ANSWERS.items():
        found = await requested_again(
            bucket, asks_metadata, odd, lambda: store.read("a"), "^gs://simulated-runs/runs/a"
        )
        assert found is not None, name
        assert found.data == b"data"
    bucket.script(Fault(asks_metadata, in_turn(do.status(200, []), do.nothing())))
    assert await content(store, "absent") is None


async def test_content_that_does_not_match_the_object_is_requested_again(store: ObjectStore, bucket: Bucket) -> None:
    """A proxy in front of storage sends no checksum with an answer of its own."""
    await put(bucket, b"data")
    for odd, limit in (*product((do.body([]), do.raw_body(b"")), (None, 3)), (do.damaged(), None)):
        found = await requested_again(bucket, asks_content, odd, partial(store.read, "a", limit))
        assert found is not None
        assert found.data == b"data"[:limit]
        assert await requested_again(bucket, asks_content, odd, partial(store.content, "a")) == b"data"


async def test_an_unusable_list_is_requested_again_never_taken_for_empty(store: ObjectStore, bucket: Bucket) -> None:
    """An empty list would mean that nothing has been done."""
    odd_lists = [
        *(ODD_ANSWERS[name] for name in ("array", "no field", "html", "brackets")),
        do.edited(lambda answer: answer | {"items": 5, "prefixes": 5}),
        do.edited(lambda answer: answer | {"items": [{"name": 5}], "prefixes": [5]}),
    ]
    await in_thread(lambda: store.create("2026/a", b""))
    for odd in odd_lists:
        assert await requested_again(bucket, asks_names, odd, lambda: store.names("2026")) == ["2026/a"]
        assert await requested_again(bucket, asks_names, odd, lambda: store.folders("")) == ["2026"]
    assert await in_thread(lambda: store.names("b")) == []


@pytest.mark.parametrize("verb", ["create", "replace"])
async def test_a_write_with_an_odd_answer_is_checked_by_a_read(store: ObjectStore, bucket: Bucket, verb: str) -> None:
    def write(name: str, data: bytes, first: str) -> StoredObject:
        """Not other data, maybe: the renewals of a lease are all the same."""
        return store.create(name, data) if verb == "create" else store.replace(name, data, first)

    async def begin(name: str, *answers: Do) -> str:
        bucket.script()
        first = "" if verb == "create" else (await in_thread(partial(store.create, name, b"same"))).generation
        bucket.script(Fault(uploads, in_turn(*answers)))
        return first

    for name, odd in ODD_ANSWERS.items():
        first = await begin(name, do.status(200, {}), odd)
        made = await in_thread(partial(write, name, b"same", first))
        assert made.generation != first
        assert await in_thread(partial(store.read, name)) == made
    first = await begin("other", do.status(200, {}))
    with only_once(), pytest.raises(UnreachableError, match=NOT_GOOGLE):  # it was not written, and may be tried again
        await in_thread(partial(write, "other", b"same", first))
    bucket.script()
    await in_thread(partial(write, "other", b"same", first))
    bucket.script(Fault(uploads, do.status(200, {})))
    with pytest.raises(ConflictError):
        await in_thread(partial(write, "other", b"of another", first))


@pytest.mark.parametrize("verb", ["create", "replace"])
async def test_a_write_that_is_answered_too_late_is_looked_for(
    store: ObjectStore, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """Else storage that takes longer for each write than a request may take would hold up a night, and have it all."""

    async def late(visit: Visit) -> None:
        answer = await visit.work()
        await visit.exchange.wait(60)
        await visit.exchange.send(answer)

    first = await in_thread(lambda: store.create("b", b"0"))
    monkeypatch.setitem(gcs._ONCE, "timeout", 0.2)
    bucket.script(Fault(uploads, late))
    name = "a" if verb == "create" else "b"
    write = (
        partial(store.create, name) if verb == "create" else partial(store.replace, name, generation=first.generation)
    )
    made = await in_thread(partial(write, data=b"1"))
    assert await in_thread(partial(store.read, name)) == made
    with pytest.raises(ConflictError):
        await in_thread(partial(write, data=b"of another"))
    bucket.script(Fault(uploads, do.hang()))
    with only_once(), pytest.raises(UnreachableError, match="Timeout"):  # it was not written, and may be tried again
        await in_thread(partial(store.create, "c", b"1"))


async def test_a_token_is_renewed_once_for_all_threads_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = Credentials("one")
    monkeypatch.setattr(gcs, "_default_credentials", lambda: credentials)
    client = SimpleNamespace(_http=Session(), bucket=lambda name: f"the bucket {name}")
    monkeypatch.setattr("google.cloud.storage.Client", lambda **_: client)
    store = gcs.GcsStore("b", "")
    for expiry in (1, 2):
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(in_thread, store._bucket)
            await trio.sleep(0.05)
            credentials.may_answer.set()
        assert credentials.count == expiry
        assert await in_thread(store._bucket) == "the bucket b"
        assert credentials.count == expiry, "while the token is good nobody asks"
        credentials.may_answer.clear()
        credentials.token = None


async def test_an_object_has_the_content_type_of_its_name(store: ObjectStore, bucket: Bucket) -> None:
    kinds = {"a.json": "application/json", "a.csv": "text/csv; charset=utf-8", "other": "application/octet-stream"}
    for name, kind in kinds.items():
        bucket.script()
        await in_thread(partial(store.create, name, b"x"))
        (sent,) = filter(uploads, bucket.front.requests)
        assert f"\r\ncontent-type: {kind}\r\n\r\nx\r\n".encode() in sent.body, "the second part is the object"


# --- outages: one of eight seconds fails no operation, a longer one does after twenty ---

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


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_an_outage_of_eight_seconds_fails_no_operation(bucket: Bucket, clock: Clock, fault: Do) -> None:
    store, began, clock.now = bucket.store, 0.0, OUTAGE

    async def asked(operation: Callable[[], T]) -> T:
        nonlocal began
        assert clock.now >= began + OUTAGE, "the operation before was not done in an outage"
        began = clock.now
        return await clock.run(operation)

    bucket.script(Fault(lambda _: clock.now < began + OUTAGE, fault))
    made = await asked(partial(store.create, "a", b"1"))
    assert await asked(partial(store.read, "a")) == made
    assert await asked(partial(store.names, "a")) == ["a"]
    changed = await asked(partial(store.replace, "a", b"2", made.generation))
    assert await asked(partial(store.read, "a")) == changed


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


@pytest.mark.parametrize("status", [400, 403])
async def test_what_a_person_has_to_correct_is_no_outage(store: ObjectStore, bucket: Bucket, status: int) -> None:
    bucket.script(Fault(when.always, do.status(status)))
    with pytest.raises(StorageError) as error:
        await content(store)
    assert type(error.value) is StorageError

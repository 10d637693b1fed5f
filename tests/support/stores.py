"""A store in memory for virtual time that can fail, be slow, lose answers and have a clock of its own."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import outcome
import pytest
import trio
import trio.testing

from job.config import read as config_read
from job.records import lease, past_nights, record, session
from job.storage import store as store_module
from job.storage.store import ConflictError, ObjectStore, StorageError, StoredObject, UnreachableError, changed
from job.storage.uri import open_store
from job.text.messages import Message
from tests.simulators.service import Fault, Service
from tests.simulators.storage import Emulator, emulator_binary
from tests.simulators.world import open_world

EMULATOR = emulator_binary()
KINDS = ["memory", "directory", pytest.param("bucket", marks=[pytest.mark.slow, pytest.mark.needs("emulator")])]
T = TypeVar("T")


@dataclass
class Memory:
    """What `Store` promises, kept in a dictionary."""

    objects: dict[str, StoredObject] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Every request, as its verb and the object's name."""
    refuse: Callable[[str, str], bool] = lambda _verb, _name: False
    """Whether this request fails, without any effect."""
    lose: Callable[[str, str], bool] = lambda _verb, _name: False
    """Whether the answer to this request is lost, for good: it had its effect, and raises."""
    seconds: float = 0.0
    """That a request takes."""
    takes: Callable[[str, str], float] = lambda _verb, _name: 0.0
    """How long this request takes besides."""
    clock: Callable[[], float] = trio.current_time
    """Its own, which nobody else's need agree with."""
    failed: list[float] = field(default_factory=list)
    """When requests were refused or answers lost, by its clock."""
    _writes: int = 0

    def read(self, name: str, limit: int | None = None) -> StoredObject | None:
        self._ask("read", name)
        there = self.objects.get(name)
        if there is None or limit is None:
            return there
        return StoredObject(there.data[:limit], there.generation, there.updated)

    def content(self, name: str) -> bytes | None:
        stored = self.read(name)
        return None if stored is None else stored.data

    def create(self, name: str, data: bytes) -> StoredObject:
        self._ask("create", name)
        there = self.objects.get(name)
        if there is None:
            return self._write("create", name, data)
        if there.data != data:
            raise ConflictError(changed(name))
        return there

    def replace(self, name: str, data: bytes, generation: str) -> StoredObject:
        self._ask("replace", name)
        there = self.objects.get(name)
        if there is not None and there.data == data and there.generation != generation:
            return there  # by an earlier try, whose answer was lost
        if there is None or there.generation != generation:
            raise ConflictError(Message(f"{name} was changed by another"))
        return self._write("replace", name, data)

    def names(self, prefix: str) -> list[str]:
        self._ask("names", prefix)
        return sorted(name for name in self.objects if name.startswith(prefix))

    def folders(self, prefix: str) -> list[str]:
        self._ask("folders", prefix)
        rests = (name.removeprefix(prefix) for name in self.objects if name.startswith(prefix))
        return sorted({prefix + rest.partition("/")[0] for rest in rests if "/" in rest})

    def hang(self, verb: str, part: str) -> None:
        """From the first request on with this verb, for a name with this part, no request is answered."""

        def refuse(asked: str, name: str) -> bool:
            if verb in asked and part in name:
                self.seconds, self.refuse = 1e6, lambda _verb, _name: False
            return False

        self.refuse = refuse

    def count(self, verb: str, part: str = "") -> int:
        """How many requests of this verb there were for names with this part."""
        return sum(asked == verb and part in name for asked, name in self.asked)

    def _ask(self, verb: str, name: str) -> None:
        self.asked.append((verb, name))
        if self.refuse(verb, name):
            self.failed.append(self.clock())
            raise UnreachableError("503 from the fake", about=name)

    def _write(self, verb: str, name: str, data: bytes) -> StoredObject:
        self._writes += 1
        stored = self.objects[name] = StoredObject(data, str(self._writes), self.clock())
        if self.lose(verb, name):
            self.failed.append(self.clock())
            raise StorageError(Message(f"{name}: the answer was lost"))
        return stored


async def read_many(store: ObjectStore, names: Sequence[str]) -> dict[str, StoredObject]:
    async def read(name: str) -> StoredObject | None:
        return await store_module.in_thread(lambda: store.read(name))

    return await store_module.each_of(names, read, store_module.THREADS)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock) -> Memory:
    """A store in memory whose requests take virtual time instead of threads, which would make the clock run wild.

    As many requests run at a time as there are threads; the others queue for the same limiter. Urgent ones do not.
    """
    made = Memory()

    async def in_thread(function: Callable[[], T], *, urgent: bool = False) -> T:
        async with nullcontext() if urgent else store_module._TURNS:
            await trio.sleep(made.seconds / 2)
            done = outcome.capture(function)
            await trio.sleep(made.seconds / 2 + made.takes(*made.asked[-1]))
            return done.unwrap()

    for module in (config_read, record, lease, past_nights, session, store_module):
        if hasattr(module, "in_thread"):
            monkeypatch.setattr(module, "in_thread", in_thread)
    return made


@dataclass
class Bucket:
    """A bucket of the emulator, behind a front that can break."""

    store: ObjectStore
    front: Service
    emulator: Emulator
    elsewhere: Service

    def script(self, *faults: Fault) -> None:
        """From now on this goes wrong. What was requested before is forgotten."""
        self.front.script[:] = faults
        self.front.requests.clear()


@asynccontextmanager
async def open_bucket(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bucket]:
    async with open_world(nursery, {}, emulator=EMULATOR) as world:
        assert world.storage
        assert world.emulator
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", world.storage.url)
        yield Bucket(open_store(world.runs_uri), world.storage, world.emulator, world.elsewhere)


@pytest.fixture(params=KINDS)
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ObjectStore]:
    """An empty store of each kind."""
    match request.param:
        case "memory":
            yield Memory(clock=time.time)  # noqa: TID251  the ages of objects are real
        case "directory":
            yield open_store(str(tmp_path / "runs"), make=True)
        case _:
            async with open_bucket(nursery, monkeypatch) as bucket:
                yield bucket.store

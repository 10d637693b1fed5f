"""Whole runs in virtual time: the real orchestrator among simulated engines, with its records in memory.

Nothing here is a socket, a thread, a file or a process of its own. What is replaced are the places where the job meets
the outside: its clocks, threads, connections, stores, tokens, random numbers, signals and output. All else is real,
HTTP included. What a run is started with is in `_main` alone.
"""

import json
import os
import random
import secrets
import signal
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

import httpcore
import outcome
import pytest
import trio
from trio.testing import MemoryReceiveStream, MockClock, memory_stream_pair

from job.cli.main import make_parser, options_of
from job.config.environment import read_settings
from job.engines.answers import AnswerError
from job.engines.failures import Cause
from job.engines.id_tokens import IdTokens
from job.execution import phases
from job.orchestrator import run
from job.outputs import message
from job.outputs.log import CloudLog, Reporter
from job.outputs.stdout import OutputQueue
from job.storage import store
from job.storage.directory import DirectoryStore
from job.storage.store import StorageError
from job.text.messages import Message
from tests.simulators.job import Job
from tests.simulators.service import Latency
from tests.simulators.world import World, close_world, make_world
from tests.support.stores import Memory

START = datetime(2026, 11, 24, 22, 30, tzinfo=UTC)
"""When virtual time begins: at a tick of the schedule."""
SCHEDULE = "30 22 * * *"
T = TypeVar("T")
PARSER = make_parser()


async def _main(arguments: tuple[str, ...], environment: Mapping[str, str], now: datetime, started: float) -> int:
    """`python -m job run`, off a terminal: what `job.cli` does for it."""
    settings, faults = read_settings(environment)
    options = PARSER.parse_args(arguments or ("run",))
    return await run(options_of(options, settings, faults, now, started), Reporter(CloudLog()))


class _DeadError(BaseException):
    """The process is dead, and what its code does while the stack unwinds has no effect."""


@dataclass
class VirtualProcess:
    """What a `trio.Process` is to a `Job`."""

    returncode: int | None = None
    stdout: MemoryReceiveStream = field(default_factory=MemoryReceiveStream)
    stderr: MemoryReceiveStream = field(default_factory=MemoryReceiveStream)
    """Stays empty: the orchestrator itself writes nothing there, and a bug fails the test."""
    _died: int | None = None
    _scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    _over: trio.Event = field(default_factory=trio.Event)
    limiter: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(store.THREADS))
    """Of its threads for storage."""

    def __post_init__(self) -> None:
        self._to_handler, self.signals = trio.open_memory_channel[int](16)

    async def run(self, main: Callable[[], Awaitable[int]]) -> None:
        """Its life."""
        _running.set(self)
        code = 0
        try:
            with self._scope:
                code = await main()
        except* _DeadError:
            pass
        finally:
            self.returncode = code if self._died is None else self._died
            self.stdout.put_eof()
            self.stderr.put_eof()
            self._over.set()

    async def wait(self) -> None:
        """Waits for its end."""
        await self._over.wait()

    def send_signal(self, number: int) -> None:
        """Signals it; SIGKILL ends it, others come to the job's handler."""
        if number == signal.SIGKILL:
            self.kill()
        elif self.returncode is None:
            self._to_handler.send_nowait(number)

    def kill(self) -> None:
        """Ends it at once."""
        self.die(-signal.SIGKILL)

    def die(self, code: int) -> None:
        """From now on its code has no effect on anything outside."""
        if self.returncode is None and self._died is None:
            self._died = code
            self._scope.cancel()


_running: ContextVar[VirtualProcess | None] = ContextVar(
    "the process whose code runs, unless it is the test's", default=None
)


def _reach_outside() -> VirtualProcess | None:
    """Whatever has an effect outside is preceded by this, which raises in a dead process."""
    process = _running.get()
    if process is not None and process._died is not None:
        raise _DeadError
    return process


def _own() -> VirtualProcess:
    """The process whose code runs: it is not the test's."""
    process = _reach_outside()
    assert process is not None
    return process


@dataclass
class VirtualWorld(World):
    """A world without TLS, proxy and chat, whose jobs run in virtual time and see one another's leases and records."""

    stores: dict[str, Memory] = field(default_factory=dict)
    """By URI. Each can refuse requests and lose answers."""
    patience: str | None = None
    storage_seconds: float = 0.02
    """How long a request to storage takes. Its effect comes in the middle."""
    token_server: Callable[[], str] = lambda: "well"
    """Asked for a token in place of one that an engine refused, it may be `out`, or hand out what it has `cached`."""
    import_seconds: float = 0.0
    """How long ago a process was started when its run begins."""

    @property
    def runs(self) -> Memory:
        """What RUNS_URI names."""
        return self.stores[self.runs_uri]

    def recorded(self) -> dict[str, bytes]:
        """Every object under RUNS_URI."""
        return {name: stored.data for name, stored in self.runs.objects.items()}

    async def configure(self, name: str, content: object) -> None:
        """See `World`."""
        data = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
        config = self.stores[self.config_uri]
        config.objects.pop(name, None)
        config.create(name, data)
        await trio.lowlevel.checkpoint()

    async def start_job(
        self,
        *arguments: str,
        env: Mapping[str, str | None] | None = None,
        terminal: bool = False,
        reading: trio.Event | None = None,
    ) -> Job:
        """Starts a run; see `World`. There is no terminal, and the output is always read."""
        assert not terminal
        assert reading is None
        process, environment = (
            VirtualProcess(),
            self.environment(**{"RUN_SCHEDULE": SCHEDULE, "RUN_TIME_ZONE": "UTC", **(env or {})}),
        )
        started, now = time.monotonic() - self.import_seconds, _now(UTC)
        self.nursery.start_soon(process.run, lambda: _main(arguments, environment, now, started))
        job = Job(cast(trio.Process, process), started)
        self.nursery.start_soon(job._attend, None, None)
        self.jobs.append(job)
        await trio.lowlevel.checkpoint()
        return job


@asynccontextmanager
async def open_virtual_world(
    nursery: trio.Nursery, config: Mapping[str, object], *, latency: Latency | None = None
) -> AsyncIterator[VirtualWorld]:
    """Makes a world, for a test that uses `autojump_clock`; at the end nothing of it is left."""
    assert isinstance(trio.lowlevel.current_clock(), MockClock)
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="virtual-world-"))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        world = make_world(VirtualWorld, nursery, Path(directory), None)
        stack.push_async_callback(close_world, world)
        for number, service in enumerate(world.services):
            service.port = 20_000 + number
        for service in world.engines.values():
            service.latency = latency or service.latency
        _replace_clocks(patch)
        world.stores = {uri: Memory(clock=time.time) for uri in (world.config_uri, world.runs_uri)}  # noqa: TID251  trio's, from here on
        _replace_processes(patch)
        _replace_random_numbers(patch)
        _replace_threads(patch, world)
        _replace_storage(patch, world)
        _replace_network(patch, world)
        _replace_tokens(patch, world)
        for name, content in config.items():
            await world.configure(name, content)
        yield world


# --- what stands in for the outside ---


def _now(zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(time.time(), zone)  # noqa: TID251  trio's, in virtual time


class _VirtualDatetime(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return _now(tz)


def _replace_clocks(patch: pytest.MonkeyPatch) -> None:
    """All clocks are trio's. Other threads, which are none of the job's, keep their own."""

    def following(real: Callable[[], float], begin: float) -> Callable[..., float]:
        def clock(*_: object) -> float:
            return begin + trio.current_time() if trio.lowlevel.in_trio_run() else real()

        return clock

    patch.setattr(time, "clock_gettime", following(time.monotonic, 0.0))
    patch.setattr(time, "monotonic", following(time.monotonic, 0.0))
    patch.setattr(time, "time", following(time.time, START.timestamp()))  # noqa: TID251  what trio's replaces
    for name, module in [*sys.modules.items()]:
        if name.startswith("job.") and getattr(module, "datetime", None) is datetime:
            patch.setattr(module, "datetime", _VirtualDatetime)


def _replace_random_numbers(patch: pytest.MonkeyPatch) -> None:
    """Waits, trace ids and owners of leases are the same every time the test is run; an id never comes twice in it."""
    numbers = random.Random(0)
    random.seed(0)
    patch.setattr(secrets, "token_hex", lambda size: numbers.randbytes(size).hex())


def _replace_processes(patch: pytest.MonkeyPatch) -> None:
    """The signals and ends of processes. All of them are this one, really."""
    true_signal = signal.signal

    def exit_at_once(code: int) -> NoReturn:
        _own().die(code)
        raise _DeadError

    def handle(number: int, handler: Any) -> Any:
        return true_signal(number, handler) if _running.get() is None else None

    @contextmanager
    def open_signal_receiver(*_numbers: int) -> Iterator[trio.MemoryReceiveChannel[int]]:
        yield _own().signals

    patch.setattr(os, "_exit", exit_at_once)
    patch.setattr(signal, "signal", handle)
    patch.setattr(trio, "open_signal_receiver", open_signal_receiver)


def _replace_threads(patch: pytest.MonkeyPatch, world: VirtualWorld) -> None:
    """What a thread would do is done between two waits; what it would write is written at once.

    A thread whose caller is cancelled before it has its effect goes on by itself.
    """

    async def abandoned(function: Callable[[], object]) -> None:
        await trio.sleep(world.storage_seconds / 2)
        with suppress(_DeadError):
            _reach_outside()
            outcome.capture(function)

    async def run_sync(
        function: Callable[..., T],
        *arguments: Any,
        abandon_on_cancel: bool = False,
        limiter: trio.CapacityLimiter | None = None,
    ) -> T:
        async with limiter or trio.CapacityLimiter(1):
            with trio.CancelScope(shield=not abandon_on_cancel):
                try:
                    await trio.sleep(world.storage_seconds / 2)
                except trio.Cancelled:
                    world.nursery.start_soon(abandoned, partial(function, *arguments))
                    raise
                _reach_outside()
                done = outcome.capture(function, *arguments)
                await trio.sleep(world.storage_seconds / 2)
        return done.unwrap()

    class Turns:
        """Each process has its own."""

        async def __aenter__(self) -> None:
            if (process := _running.get()) is not None:
                await process.limiter.acquire()

        async def __aexit__(self, *_: object) -> None:
            if (process := _running.get()) is not None:
                process.limiter.release()

    def write(_: OutputQueue, data: bytes) -> None:
        _own().stdout.put_data(data)

    async def drain(_: OutputQueue, seconds: float) -> None:
        await trio.lowlevel.checkpoint()

    patch.setattr(trio.to_thread, "run_sync", run_sync)  # a thread would make the clock run wild
    patch.setattr(store, "_TURNS", Turns())
    patch.setattr(OutputQueue, "write", write)
    patch.setattr(OutputQueue, "drain", drain)


def _replace_storage(patch: pytest.MonkeyPatch, world: VirtualWorld) -> None:
    """A directory is a `Memory` of the world."""
    uris: dict[DirectoryStore, str] = {}

    def init(directory: DirectoryStore, path: str, *, make: bool) -> None:
        uris[directory] = path

    def asked(verb: str) -> Callable[..., object]:
        def ask(directory: DirectoryStore, *arguments: object, **named: object) -> object:
            _reach_outside()
            if uris[directory] not in world.stores:
                raise StorageError(Message(f"{uris[directory]} is not a directory"))
            return getattr(world.stores[uris[directory]], verb)(*arguments, **named)

        return ask

    patch.setattr(DirectoryStore, "__init__", init)
    for verb in ("read", "create", "replace", "names", "folders"):
        patch.setattr(DirectoryStore, verb, asked(verb))


@dataclass
class _VirtualStream(httpcore.AsyncNetworkStream):
    """A connection in memory, as httpcore sees it. The job's timeouts are its own."""

    stream: trio.abc.Stream
    is_over: bool = False
    """Whether the other side has closed it."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109
        _reach_outside()
        try:
            return bytes(await self.stream.receive_some(max_bytes))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.ReadError from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        _reach_outside()
        try:
            if buffer:
                await self.stream.send_all(buffer)
        except trio.BrokenResourceError as error:
            raise httpcore.WriteError from error

    async def aclose(self) -> None:
        await self.stream.aclose()

    def get_extra_info(self, info: str) -> object:
        return self.is_over if info == "is_readable" else None


def _replace_network(patch: pytest.MonkeyPatch, world: VirtualWorld) -> None:
    """Connections lead to the world's services."""
    ports = {service.port: service for service in world.services}

    async def connect_tcp(
        _: httpcore.TrioBackend, host: str, port: int, *_arguments: object, **_named: object
    ) -> httpcore.AsyncNetworkStream:
        _reach_outside()
        await trio.lowlevel.checkpoint()
        if port not in ports:
            try:
                raise ConnectionRefusedError
            except OSError as error:
                raise httpcore.ConnectError from error
        ours, theirs = memory_stream_pair()
        connection = _VirtualStream(ours)

        async def serve() -> None:
            await ports[port].connect(theirs)
            connection.is_over = True

        Context().run(world.nursery.start_soon, serve)  # its context is not that of the process, which is the client's
        return connection

    for module in (phases, message):  # it takes 30 ms to load the authorities of certifi
        patch.setattr(module, "tls_context", lambda _: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    patch.setattr(httpcore.TrioBackend, "connect_tcp", connect_tcp)


def _replace_tokens(patch: pytest.MonkeyPatch, world: VirtualWorld) -> None:
    """Tokens come from the world's mint, without google-auth and its server."""

    def cached(_: IdTokens, _audience: str, _rejected: str | None = None) -> None:
        return None

    async def get(_: IdTokens, audience: str, rejected: str | None = None) -> str:
        _reach_outside()
        await trio.lowlevel.checkpoint()
        if world.tokens.identity(audience) == rejected:
            if world.token_server() == "out":
                raise AnswerError(Message("no answer"), Cause.TOKEN_SERVER)
            if world.token_server() == "well" and world.tokens.identity(audience) == rejected:
                world.tokens.forget()
        return world.tokens.identity(audience)

    patch.setattr(IdTokens, "cached", cached)
    patch.setattr(IdTokens, "get", get)

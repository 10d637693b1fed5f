"""The whole world of a run: every service up, the config written, the job's environment made."""

import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import trio

from tests.simulators.chat import Chat
from tests.simulators.contract import CONTRACTS, violation
from tests.simulators.engines import engine
from tests.simulators.job import Job, Outcome, start_job
from tests.simulators.seen import Seen
from tests.simulators.service import Latency, Service
from tests.simulators.storage import Emulator, StorageFront, open_emulator
from tests.simulators.tokens import Mint, TokenSource
from tests.simulators.wire import Reply
from tests.support.environment import bare

CONFIG_BUCKET = "simulated-config"
RUNS_BUCKET = "simulated-runs"


@dataclass
class World:
    """Everything is running. The record of requests is one list for all services, in the order of arrival."""

    directory: Path
    seen: list[Seen]
    tokens: TokenSource
    metadata: Service
    engines: dict[str, Service]
    elsewhere: Service
    """A server that nobody has any business with: a token that gets here has leaked."""
    chat: Chat
    """Where messages about runs go, if a test says so."""
    storage: Service | None
    """Stands before the emulator; None where config and records are directories."""
    emulator: Emulator | None
    nursery: trio.Nursery
    jobs: list[Job] = field(default_factory=list)
    patience: str | None = "1"
    """Seconds for which a job waits for an engine that fails; `None` for the job's own ten minutes."""

    @property
    def services(self) -> list[Service]:
        known = [self.metadata, self.elsewhere, self.chat.service, *self.engines.values()]
        return [*known, self.storage] if self.storage else known

    @property
    def financial(self) -> Service:
        return self.engines["financial"]

    @property
    def trading(self) -> Service:
        return self.engines["trading"]

    @property
    def news(self) -> Service:
        return self.engines["news"]

    @property
    def qa(self) -> Service:
        return self.engines["qa"]

    @property
    def violations(self) -> list[str]:
        """What engines were asked although nobody may ever ask it: a run that leaves any has a grave bug."""
        return [blame for request in self.seen if (blame := violation(request))]

    @property
    def config_uri(self) -> str:
        """Where the config is, as the job reads it."""
        return f"gs://{CONFIG_BUCKET}/config" if self.storage else str(self.directory / "config")

    @property
    def runs_uri(self) -> str:
        """A place for the records of days, as the job reads it."""
        return f"gs://{RUNS_BUCKET}/runs" if self.storage else str(self.directory / "runs")

    def forget(self) -> None:
        """Clears the record of requests, for another run in the same world."""
        for service in self.services:
            service.requests.clear()
        self.seen.clear()

    async def configure(self, name: str, content: object) -> None:
        """Writes one object of the config, as JSON unless it is bytes; another of the same name is replaced."""
        data = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
        if self.emulator:
            await self.emulator.put(CONFIG_BUCKET, f"config/{name}", data)
        else:
            (self.directory / "config" / name).write_bytes(data)

    def environment(self, **changes: str | None) -> dict[str, str]:
        """Every variable of a job process; nothing of the developer's shell but PATH. `None` takes one out."""
        host = self.metadata.url.removeprefix("http://")
        variables: dict[str, str | None] = {
            **bare(),
            "HOME": str(self.directory),  # no gcloud credentials, no netrc
            "GCE_METADATA_HOST": host,
            "GCE_METADATA_IP": host,
            "CONFIG_URI": self.config_uri,
            "RUNS_URI": self.runs_uri,
            **{f"{name.upper()}_ENGINE_URL": service.url for name, service in self.engines.items()},
            **{f"{name.upper()}_ENGINE_PATIENCE": self.patience for name in self.engines},
            "STORAGE_EMULATOR_HOST": self.storage.url if self.storage else None,
            "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA": "true" if self.storage else None,
            **changes,
        }
        return {name: value for name, value in variables.items() if value is not None}

    async def start_job(
        self,
        *arguments: str,
        env: Mapping[str, str | None] | None = None,
        terminal: bool = False,
        reading: trio.Event | None = None,
    ) -> Job:
        """Starts the real job in this world's environment, changed by `env`, by default its command `run`.

        `start_job` says what the rest does.
        """
        environment = self.environment(**(env or {}))
        job = await start_job(self.nursery, arguments or ("run",), environment, terminal=terminal, reading=reading)
        self.jobs.append(job)
        return job

    async def run_job(
        self,
        args: Sequence[str] = ("run",),
        *,
        env: Mapping[str, str | None] | None = None,
        terminal: bool = False,
        seconds: float | None = None,
    ) -> Outcome:
        """Runs the real job to its end; fails if it takes longer: by default than a minute, or an outage."""
        seconds = seconds or (60.0 if self.patience else 7200.0)
        job = await self.start_job(*args, env=env, terminal=terminal)
        with trio.move_on_after(seconds):
            return await job.outcome()
        await job.kill()
        raise AssertionError(f"the job ran for over {seconds} s: {await job.outcome()}")


W = TypeVar("W", bound=World)


@asynccontextmanager
async def open_world(
    nursery: trio.Nursery,
    config: Mapping[str, object],
    *,
    latency: Latency | None = None,
    emulator: Path | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[World]:
    """Brings everything up; at the end nothing of it is left: no task, no socket, no process, no file.

    The nursery is the caller's, so that what fails inside the `async with` is not wrapped in a group. With
    `emulator`, the binary of `storage.emulator_binary`, config and records are in buckets. With `tls`, engines speak
    it.
    """
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="simulated-world-")))
        storage = await stack.enter_async_context(open_emulator(emulator)) if emulator else None
        world = make_world(World, nursery, directory, storage, tls)
        stack.push_async_callback(close_world, world)
        if storage:
            await storage.create_bucket(CONFIG_BUCKET)
            await storage.create_bucket(RUNS_BUCKET)
        else:
            (directory / "config").mkdir()
            (directory / "runs").mkdir()
        for name, content in config.items():
            await world.configure(name, content)
        for service in world.engines.values():
            service.latency = latency or service.latency
        for service in world.services:
            await service.start(nursery)
        yield world


def make_world(
    kind: type[W], nursery: trio.Nursery, directory: Path, emulator: Emulator | None, tls: ssl.SSLContext | None = None
) -> W:
    """A world of this kind, in which no service listens yet."""
    seen: list[Seen] = []
    mint = Mint()
    tokens = TokenSource(mint)
    return kind(
        directory=directory,
        seen=seen,
        tokens=tokens,
        metadata=Service("metadata", tokens.reply, seen=seen),
        engines={name: engine(name, mint, seen, tls) for name in CONTRACTS},
        elsewhere=Service("elsewhere", lambda _seen: Reply(200, b'{"status": "success"}'), seen=seen),
        chat=Chat(seen),
        storage=Service("storage", StorageFront(emulator.client).reply, seen=seen) if emulator else None,
        emulator=emulator,
        nursery=nursery,
    )


async def close_world(world: World) -> None:
    with trio.CancelScope(shield=True):
        for job in world.jobs:
            await job.kill()
        for service in world.services:
            await service.stop()

"""The whole world of a run: every service up, the config written, the job's environment made."""

from __future__ import annotations

import json
import os
import ssl
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import trio
import trustme

from .contract import CONTRACTS
from .engines import engine, violations
from .job import Job, Outcome, start_job
from .metadata import TokenSource, metadata_server
from .service import Latency, Service
from .tokens import Mint
from .wire import Reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from .seen import Seen


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
    authority: trustme.CA | None
    nursery: trio.Nursery
    jobs: list[Job] = field(default_factory=list)

    @property
    def services(self) -> list[Service]:
        """All of them."""
        return [self.metadata, self.elsewhere, *self.engines.values()]

    @property
    def financial(self) -> Service:
        """The engine of financial statements."""
        return self.engines["financial"]

    @property
    def trading(self) -> Service:
        """The engine of prices and features."""
        return self.engines["trading"]

    @property
    def news(self) -> Service:
        """The engine of news, topics and persons."""
        return self.engines["news"]

    @property
    def qa(self) -> Service:
        """The engine of cards."""
        return self.engines["qa"]

    @property
    def violations(self) -> list[str]:
        """What engines were asked although nobody may ever ask it."""
        return violations(self.seen)

    def configure(self, name: str, content: object) -> None:
        """Writes one object of the config, as JSON where it is not bytes; `None` removes it."""
        path = self.directory / "config" / name
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())

    def environment(self, **changes: str | None) -> dict[str, str]:
        """Every variable of a job process; nothing of the developer's shell but PATH. `None` takes one out."""
        host = self.metadata.url.removeprefix("http://")
        variables: dict[str, str | None] = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),  # no gcloud credentials, no netrc
            "GCE_METADATA_HOST": host,
            "GCE_METADATA_IP": host,
            "CONFIG_URI": str(self.directory / "config"),
            **{f"{name.upper()}_ENGINE_URL": service.url for name, service in self.engines.items()},
            "SSL_CERT_FILE": str(self.directory / "ca.pem") if self.authority else None,
            **changes,
        }
        return {name: value for name, value in variables.items() if value is not None}

    async def start_job(
        self, *arguments: str, env: Mapping[str, str | None] | None = None, terminal: bool = False
    ) -> Job:
        """Starts the real job in this world's environment, changed by `env`."""
        job = await start_job(self.nursery, arguments, self.environment(**(env or {})), terminal=terminal)
        self.jobs.append(job)
        return job

    async def run_job(
        self,
        args: Sequence[str] = ("run",),
        *,
        env: Mapping[str, str | None] | None = None,
        terminal: bool = False,
        seconds: float = 60.0,
    ) -> Outcome:
        """Runs the real job to its end; fails where it takes longer than this."""
        job = await self.start_job(*args, env=env, terminal=terminal)
        with trio.move_on_after(seconds):
            return await job.outcome()
        await job.kill()
        raise AssertionError(f"the job ran for over {seconds} s: {await job.outcome()}")


@asynccontextmanager
async def open_world(
    nursery: trio.Nursery,
    config: Mapping[str, object],
    *,
    latency: Latency | None = None,
    tls: bool = False,
) -> AsyncIterator[World]:
    """Brings everything up; at the end nothing of it is left: no task, no socket, no process, no file.

    The nursery is the caller's, so that what fails inside the `async with` is not wrapped in a group.
    """
    with tempfile.TemporaryDirectory(prefix="simulated-world-") as name:
        directory = Path(name)
        (directory / "config").mkdir()
        world = _world(nursery, directory, trustme.CA() if tls else None)
        for key, content in config.items():
            world.configure(key, content)
        if latency:
            for service in world.engines.values():
                service.latency = latency
        try:
            for service in world.services:
                await service.start(nursery)
            yield world
        finally:
            with trio.CancelScope(shield=True):
                for job in world.jobs:
                    await job.kill()
                for service in world.services:
                    await service.stop()


def _world(nursery: trio.Nursery, directory: Path, authority: trustme.CA | None) -> World:
    context = None
    if authority:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        authority.cert_pem.write_to_path(directory / "ca.pem")
    seen: list[Seen] = []
    mint = Mint()
    tokens = TokenSource(mint)
    return World(
        directory=directory,
        seen=seen,
        tokens=tokens,
        metadata=metadata_server(tokens, seen),
        engines={name: engine(name, mint, seen, context) for name in CONTRACTS},
        elsewhere=Service("elsewhere", lambda _seen: Reply(200, b'{"status": "success"}'), seen=seen),
        authority=authority,
        nursery=nursery,
    )

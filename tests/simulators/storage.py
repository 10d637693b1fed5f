"""A real storage emulator, fake-gcs-server, as a process of its own with its objects in memory."""

import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
import trio

_START = 60.0
"""Seconds that it may take until it answers."""


def emulator_binary() -> Path | None:
    """Where the emulator is: what STORAGE_EMULATOR names, else what PATH holds; None if there is none."""
    named = os.environ.get("STORAGE_EMULATOR") or shutil.which("fake-gcs-server")
    if not named:
        return None
    path = Path(named)
    if not os.access(path, os.X_OK):
        raise FileNotFoundError(f"STORAGE_EMULATOR: {path} cannot be executed")
    return path.absolute()


@dataclass(frozen=True)
class Emulator:
    """The running emulator; what a test wants to put there or to look up, without the client under test."""

    url: str
    client: httpx.AsyncClient

    async def create_bucket(self, bucket: str) -> None:
        """Makes an empty bucket."""
        (await self.client.post("/storage/v1/b", json={"name": bucket})).raise_for_status()

    async def put(self, bucket: str, name: str, content: bytes, encoding: str = "") -> None:
        """Writes an object, over another if there is one."""
        query = {"uploadType": "media", "name": name, "contentEncoding": encoding}
        answer = await self.client.post(f"/upload/storage/v1/b/{bucket}/o", params=query, content=content)
        answer.raise_for_status()

    async def get(self, bucket: str, name: str) -> bytes:
        """Reads an object that exists."""
        answer = await self.client.get(f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}", params={"alt": "media"})
        return answer.raise_for_status().content

    async def names(self, bucket: str, prefix: str = "") -> list[str]:
        """The names of all objects under a prefix, sorted."""
        answer = await self.client.get(f"/storage/v1/b/{bucket}/o", params={"prefix": prefix})
        return sorted(item["name"] for item in answer.raise_for_status().json().get("items", []))


@asynccontextmanager
async def open_emulator(binary: Path) -> AsyncIterator[Emulator]:
    """Starts the emulator and waits until it answers; at the end it is killed, its objects are gone."""
    with socket.create_server(("127.0.0.1", 0)) as probe:  # a free port
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [str(binary), "-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    command += ["-external-url", url, "-public-host", f"127.0.0.1:{port}", "-log-level", "error"]
    process = await trio.lowlevel.open_process(
        command,
        env={"PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C on the terminal is for the job, whose record the emulator has yet to take
    )
    try:
        async with httpx.AsyncClient(base_url=url, verify=False, trust_env=False, timeout=_START) as client:
            with trio.fail_after(_START):
                await _answering(client, process)
            yield Emulator(url, client)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def _answering(client: httpx.AsyncClient, process: trio.Process) -> None:
    while process.poll() is None:
        try:
            if (await client.get("/storage/v1/b", params={"project": "any"})).is_success:
                return
        except httpx.TransportError:
            await trio.sleep(0.02)
    raise RuntimeError(f"the storage emulator ended at its start with {process.returncode}")

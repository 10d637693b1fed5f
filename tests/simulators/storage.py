"""A real storage emulator, fake-gcs-server, as a process of its own with its objects in memory, and its front.

The front is a service whose script can break, with the checks that the emulator skips.
"""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx
import trio

from tests.simulators.seen import Seen
from tests.simulators.wire import Reply

_START = 60.0
"""Seconds that it may take until it answers."""
_STALE = "At least one of the pre-conditions you specified did not hold."
_HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}


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


@dataclass
class StorageFront:
    """Forwards every request to the emulator. One change at a time, so that a check and its change are one act."""

    client: httpx.AsyncClient
    """Bound to the emulator's URL."""
    _changing: trio.Lock = field(default_factory=trio.Lock)

    async def reply(self, seen: Seen) -> Reply:
        """The emulator's answer; 412 if a precondition fails that it does not check (version 1.56)."""
        if seen.method == "GET":
            return await self._checked(seen) if "/download/" in seen.path else await self._forward(seen)
        async with self._changing:
            return await self._checked(seen) if seen.method == "DELETE" else await self._forward(seen)

    async def _checked(self, seen: Seen) -> Reply:
        wanted = dict(seen.query).get("ifGenerationMatch")
        if wanted is not None:
            found = await self.client.get(seen.target.partition("?")[0].replace("/download/", "/", 1))
            if found.status_code == 200 and found.json()["generation"] != wanted:
                return Reply(412, json.dumps({"error": {"code": 412, "message": _STALE}}).encode())
        return await self._forward(seen)

    async def _forward(self, seen: Seen) -> Reply:
        headers = {name: value for name, value in seen.headers.items() if name not in _HOP_BY_HOP}
        request = self.client.build_request(seen.method, seen.target, headers=headers, content=seen.body)
        answer = await self.client.send(request, stream=True)
        try:
            body = b"".join([part async for part in answer.aiter_raw()])
        finally:
            await answer.aclose()
        ours, theirs = f"http://{seen.headers['host']}", str(self.client.base_url).rstrip("/")
        # The parts of a large upload are sent to an address that the emulator gives: they, too, shall pass here.
        kept = {name: value.replace(theirs, ours) for name, value in answer.headers.items() if name not in _HOP_BY_HOP}
        kind = kept.pop("content-type", "text/plain")
        if answer.status_code == 404 and await self._lacks_bucket(seen.path):
            # The emulator does not distinguish a missing bucket from a missing object; the real service does.
            body = json.dumps({"error": {"code": 404, "message": "The specified bucket does not exist."}}).encode()
        return Reply(answer.status_code, body, kind, tuple(kept.items()))

    async def _lacks_bucket(self, path: str) -> bool:
        bucket = path.partition("/b/")[2].partition("/")[0]
        return (await self.client.get(f"/storage/v1/b/{bucket}")).status_code == 404

"""What stands before the storage emulator: a service whose script can break, and the checks that the emulator skips."""

import json
from dataclasses import dataclass, field

import httpx
import trio

from tests.simulators.seen import Seen
from tests.simulators.wire import Reply

_STALE = "At least one of the pre-conditions you specified did not hold."
_HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}


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

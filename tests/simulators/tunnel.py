"""Google's own names on loopback: an HTTPS proxy that ends every tunnel at one simulator.

google-auth has no setting for the addresses of Google's identity services, but it honours HTTPS_PROXY and
REQUESTS_CA_BUNDLE: the names are answered here, with certificates of the world's own authority.
"""

import ssl
from dataclasses import dataclass

import trio
import trustme

from tests.simulators.service import Service

NAMES = ("iamcredentials.googleapis.com", "oauth2.googleapis.com")
"""The hosts that can be reached."""


@dataclass
class Tunnel:
    """Serves connections to the proxy. Other hosts than `NAMES` are refused."""

    service: Service
    authority: trustme.CA

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Reads the CONNECT of one client, and lets the simulator serve what comes through the tunnel."""
        host = await _connect(stream)
        if host not in {f"{name}:443" for name in NAMES}:
            await trio.aclose_forcefully(stream)
            return
        await stream.send_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert(*NAMES).configure_cert(context)
        await self.service.connect(trio.SSLStream(stream, context, server_side=True, https_compatible=True))


async def _connect(stream: trio.abc.Stream) -> str | None:
    """The `host:port` of a CONNECT; None of anything else."""
    head = bytearray()
    while b"\r\n\r\n" not in head:
        try:
            data = await stream.receive_some(4096)
        except trio.BrokenResourceError:
            return None
        if not data:
            return None
        head += data
    method, _, rest = head.decode("latin-1").partition(" ")
    return rest.partition(" ")[0] if method == "CONNECT" else None

"""An engine that is never the bottleneck: asyncio without a framework, every card answered after the same latency.

It plays the metadata server as well and refuses whoever comes without its token, so that the job takes the way it takes
in production. It prints its ports, that of the metadata server first, serves until its standard input ends, then prints
its account. Its arguments are the latency in seconds, and a certificate with its key if it is to speak TLS.
"""

import asyncio
import json
import ssl
import sys
import time
from dataclasses import asdict, dataclass

from job.config import environment
from tests.simulators.metadata import TokenSource
from tests.simulators.seen import Seen
from tests.simulators.tokens import Mint

_CARD = json.dumps({"status": "success", "card_type": "news_card", "ticker": "AAPL", "card_id": 271828}).encode()
_HEADERS = b"content-type: application/json\r\ndate: Tue, 24 Nov 2026 02:00:00 GMT\r\nserver: Google Frontend\r\n"


def _answer(status: int, body: bytes, headers: bytes = _HEADERS) -> bytes:
    return b"HTTP/1.1 %d -\r\n%bcontent-length: %d\r\n\r\n%b" % (status, headers, len(body), body)


_DONE = _answer(200, _CARD)
_REFUSED = _answer(401, b"")


@dataclass(slots=True)
class Account:
    """What the engine saw."""

    calls: int = 0
    connections: int = 0
    """Of clients that asked for a card."""
    in_flight: int = 0
    peak_in_flight: int = 0
    cpu: float = 0.0
    """Seconds, user and system, for all of it."""


ACCOUNT = Account()
LATENCY = float(sys.argv[1])
TOKENS = TokenSource(Mint())


class _Client(asyncio.Protocol):
    """A connection, and what of a request has arrived on it."""

    bearer = b"none yet"
    """The token that every client has to send."""

    def __init__(self) -> None:
        self._received = b""
        self._called = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._received.endswith(b"\r\n\r\n"):  # neither cards nor tokens are asked for with a body
            return
        head, self._received = self._received, b""
        if head.startswith(b"GET "):
            self._transport.write(_metadata(head))
        elif self.bearer not in head:
            self._transport.write(_REFUSED)
        else:
            ACCOUNT.calls += 1
            ACCOUNT.connections += not self._called
            self._called = True
            ACCOUNT.in_flight += 1
            ACCOUNT.peak_in_flight = max(ACCOUNT.peak_in_flight, ACCOUNT.in_flight)
            asyncio.get_running_loop().call_later(LATENCY, self._done)

    def _done(self) -> None:
        ACCOUNT.in_flight -= 1
        self._transport.write(_DONE)


def _metadata(head: bytes) -> bytes:
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    seen = Seen("metadata", 1, 1, 1, method, target, headers, b"", time.monotonic())
    reply = TOKENS.reply(seen)
    if seen.path.endswith("/identity"):
        _Client.bearer = b"Bearer " + reply.body
    given = (("content-type", reply.content_type), *reply.headers)
    return _answer(reply.status, reply.body, "".join(f"{name}: {value}\r\n" for name, value in given).encode())


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    contexts: list[ssl.SSLContext | None] = [None]
    for certificate in sys.argv[2:]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        contexts.append(context)
    servers = [await loop.create_server(_Client, "127.0.0.1", 0, ssl=one, backlog=2048) for one in contexts]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    print(ports[0], ports[-1], flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin, ended.set)
    began = time.process_time()
    await ended.wait()
    ACCOUNT.cpu = time.process_time() - began


if __name__ == "__main__":
    environment.raise_open_file_limit()
    asyncio.run(_serve())
    print(json.dumps(asdict(ACCOUNT)), flush=True)

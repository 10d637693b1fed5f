"""An engine that is never the bottleneck: one process, no framework, every card answered after the same latency.

It plays the metadata server as well and refuses whoever comes without its token, so that the job takes the way it takes
in production. It prints its ports, that of the metadata server first, serves until its standard input ends, then prints
its account. Its arguments are the latency in seconds, and a certificate with its key if it is to speak TLS.
"""

import json
import re
import select
import selectors
import socket
import ssl
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass

from job.config import environment
from tests.simulators.metadata import TokenSource
from tests.simulators.seen import Seen
from tests.simulators.tokens import Mint

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_CARD = json.dumps({"status": "success", "card_type": "news_card", "ticker": "AAPL", "card_id": 271828}).encode()
_HEADERS = b"content-type: application/json\r\ndate: Tue, 24 Nov 2026 02:00:00 GMT\r\nserver: Google Frontend\r\n"


def _answer(status: bytes, body: bytes, headers: bytes = _HEADERS) -> bytes:
    return b"HTTP/1.1 %b\r\n%bcontent-length: %d\r\n\r\n%b" % (status, headers, len(body), body)


_DONE = _answer(b"200 OK", _CARD)
_REFUSED = _answer(b"401 Unauthorized", b"")


@dataclass(slots=True)
class Account:
    """What the engine saw. Times are of `time.monotonic`, which all processes of a machine share."""

    calls: int = 0
    refused: int = 0
    """Calls without the token."""
    connections: int = 0
    """Of clients that asked for a card."""
    peak_in_flight: int = 0
    first: float = 0.0
    """When the first call arrived."""
    last: float = 0.0
    """When the last call was answered."""


class _Client:
    """A connection, and what of a request has arrived on it."""

    __slots__ = ("called", "is_shaking_hands", "received", "socket")

    def __init__(self, accepted: socket.socket) -> None:
        self.socket = accepted
        self.received = b""
        self.called = False
        self.is_shaking_hands = isinstance(accepted, ssl.SSLSocket)


class _Engine:
    """Requests in, answers out, in the same order."""

    def __init__(self, latency: float, certificate: str | None) -> None:
        self.account = Account()
        self._latency = latency
        self._tokens = TokenSource(Mint())
        self._bearer = b""
        self._due = deque[tuple[float, _Client]]()
        self._selector = selectors.DefaultSelector()
        self._tls: ssl.SSLContext | None = None
        self._plain = self._listen()
        self._secure = None
        if certificate is not None:
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._tls.load_cert_chain(certificate)
            self._secure = self._listen()
        self.ports: list[int] = [one.getsockname()[1] for one in (self._plain, self._secure or self._plain)]

    def _listen(self) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ)
        return listener

    def serve(self, until: int) -> None:
        """Serves until the file descriptor can be read."""
        self._selector.register(until, selectors.EVENT_READ)
        while True:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            # The selector's own timeout is rounded up to milliseconds, which would be 5 % of a latency of 20.
            select.select([self._selector], [], [], wait)
            for key, _ in self._selector.select(0):
                if key.fd == until:
                    return
                if key.data is None:
                    assert isinstance(key.fileobj, socket.socket)
                    self._accept(key.fileobj)
                else:
                    self._read(key.data)
            self._send_due()

    def _accept(self, listener: socket.socket) -> None:
        accepted, _ = listener.accept()
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None and listener is self._secure:
            accepted = self._tls.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        self._selector.register(accepted, selectors.EVENT_READ, _Client(accepted))

    def _read(self, client: _Client) -> None:
        try:
            if client.is_shaking_hands:
                assert isinstance(client.socket, ssl.SSLSocket)
                client.socket.do_handshake()
                client.is_shaking_hands = False
            data = client.socket.recv(65536)
        except ssl.SSLWantReadError:
            return
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(client.socket)
            client.socket.close()
            return
        client.received += data
        head, blank, body = client.received.partition(b"\r\n\r\n")
        if not blank:
            return
        length = _LENGTH.search(head)
        if length is None or len(body) >= int(length[1]):
            client.received = b""
            self._take(client, head)

    def _take(self, client: _Client, head: bytes) -> None:
        if head.startswith(b"GET "):
            client.socket.send(self._metadata(head))
            return
        account = self.account
        if not self._bearer or self._bearer not in head:
            account.refused += 1
            client.socket.send(_REFUSED)
            return
        now = time.monotonic()
        account.calls += 1
        account.first = account.first or now
        account.connections += not client.called
        client.called = True
        self._due.append((now + self._latency, client))
        account.peak_in_flight = max(account.peak_in_flight, len(self._due))

    def _send_due(self) -> None:
        due, now = self._due, time.monotonic()
        while due and due[0][0] <= now:
            client = due.popleft()[1]
            if client.socket.fileno() >= 0:
                client.socket.send(_DONE)
            self.account.last = now

    def _metadata(self, head: bytes) -> bytes:
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        pairs = (line.split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in pairs}
        seen = Seen("metadata", 1, 1, 1, method, target, headers, b"", time.monotonic())
        reply = self._tokens.reply(seen)
        if seen.path.endswith("/identity"):
            self._bearer = b"Bearer " + reply.body
        given = (("content-type", reply.content_type), *reply.headers)
        lines_out = "".join(f"{name}: {value}\r\n" for name, value in given).encode()
        return _answer(b"%d -" % reply.status, reply.body, lines_out)


if __name__ == "__main__":
    environment.raise_open_file_limit()
    engine = _Engine(float(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
    print(*engine.ports, flush=True)
    engine.serve(sys.stdin.fileno())
    print(json.dumps(asdict(engine.account)), flush=True)

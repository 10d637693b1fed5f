"""What all simulators have in common: a listener on loopback, a memory of requests, a script of faults."""

import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from tests.simulators.seen import Seen
from tests.simulators.when import When
from tests.simulators.wire import Exchange, Reply, Traffic, serve_connection


@dataclass(frozen=True, slots=True)
class Visit:
    """One request at a service, as a fault meets it."""

    exchange: Exchange
    seen: Seen
    work: Callable[[], Awaitable[Reply]]
    """Does what the service would have done, takes its time for it, and returns the answer unsent."""


Do = Callable[[Visit], Awaitable[None]]
"""What a fault does instead of sending the service's answer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """For the requests that match, this happens instead. The first fault of a script that matches is the one."""

    when: When
    do: Do


Latency = Callable[[Seen], float]
"""Seconds that a service works on a request."""


@dataclass
class Service:
    """One simulator. A test may change latency and script at any time."""

    name: str
    respond: Callable[[Seen], Reply | Awaitable[Reply]]
    """The answer if nothing goes wrong."""
    guard: Callable[[Seen], Reply | None] = lambda _seen: None
    """May refuse a request before any fault of the script strikes."""
    latency: Latency = lambda _seen: 0.0
    script: list[Fault] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    seen: list[Seen] = field(default_factory=list)
    """Every request in the order of arrival; services may share it."""
    requests: list[Seen] = field(default_factory=list, init=False)
    """This service's own requests in the order of arrival."""
    traffic: Traffic = field(default_factory=Traffic, init=False)
    _attempts: Counter[tuple[str, str, bytes]] = field(default_factory=Counter, init=False)
    port: int = field(default=0, init=False)
    _listening: trio.CancelScope = field(default_factory=trio.CancelScope, init=False)
    _stopped: trio.Event | None = field(default=None, init=False)
    """Once it has listened: when it does so no more."""
    _changed: trio.Event = field(default_factory=trio.Event, init=False)

    @property
    def url(self) -> str:
        """The origin; it stays the same when the service is stopped and started again."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def start(self, nursery: trio.Nursery) -> None:
        """Listens on a free port, or on that of before; connections are accepted from now on."""
        (plain,) = await trio.open_tcp_listeners(self.port, host="127.0.0.1")
        self.port = plain.socket.getsockname()[1]
        self._listening, self._stopped = trio.CancelScope(), trio.Event()
        nursery.start_soon(self._listen, plain, self._stopped, name=f"simulator on port {self.port}")

    async def stop(self) -> None:
        """Closes port and connections: from now on connections are refused. `start` opens it again."""
        self._listening.cancel()
        if self._stopped is not None:
            await self._stopped.wait()

    async def _listen(self, plain: trio.SocketListener, stopped: trio.Event) -> None:
        listener = trio.SSLListener(plain, self.tls, https_compatible=True) if self.tls else plain
        try:
            with self._listening:
                await trio.serve_listeners(self.connect, [listener])
        finally:
            stopped.set()

    async def until(self, condition: Callable[[list[Seen]], bool]) -> None:
        """Waits until this holds of the requests so far; looked at whenever one arrives and whenever one ends."""
        while not condition(self.requests):
            await self._changed.wait()

    async def connect(self, stream: trio.abc.Stream) -> None:
        """Serves one connection, however it was come by, and closes it."""
        await serve_connection(stream, self._handle, self.traffic)

    async def _handle(self, exchange: Exchange) -> None:
        seen = self._remember(exchange)
        try:
            if refusal := self.guard(seen):
                await exchange.send(refusal)
            else:
                await self._answer(exchange, seen)
            if exchange.status is not None:
                seen.answered = time.monotonic()
        finally:
            seen.status = exchange.status
            seen.ended = time.monotonic()
            self._change()

    async def _answer(self, exchange: Exchange, seen: Seen) -> None:
        async def work() -> Reply:
            await exchange.wait(self.latency(seen))
            reply = self.respond(seen)
            return reply if isinstance(reply, Reply) else await reply

        visit = Visit(exchange, seen, work)
        for fault in self.script:
            if fault.when(seen):
                await fault.do(visit)
                return
        await exchange.send(await work())

    def _remember(self, exchange: Exchange) -> Seen:
        now = time.monotonic()
        identity = (exchange.method, exchange.target, exchange.body)
        self._attempts[identity] += 1
        seen = Seen(
            service=self.name,
            number=len(self.requests) + 1,
            attempt=self._attempts[identity],
            connection=exchange.connection,
            method=exchange.method,
            target=exchange.target,
            headers=exchange.headers,
            body=exchange.body,
            arrived=now,
        )
        self.seen.append(seen)
        self.requests.append(seen)
        self._change()
        return seen

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

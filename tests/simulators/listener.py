"""A port of 127.0.0.1 that can be closed and opened again while a test runs."""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio


@dataclass
class Listener:
    """Accepts connections between `start` and `stop`, always on the same port; each is served in a task."""

    serve: Callable[[trio.abc.Stream], Awaitable[None]]
    """Serves one connection and closes it."""
    tls: ssl.SSLContext | None = None
    port: int = field(default=0, init=False)
    _scope: trio.CancelScope = field(default_factory=trio.CancelScope, init=False)
    _stopped: trio.Event = field(default_factory=trio.Event, init=False)

    def __post_init__(self) -> None:
        self._stopped.set()

    async def start(self, nursery: trio.Nursery) -> None:
        """Listens on a free port, or on that of before; connections are accepted from now on."""
        plain = await trio.open_tcp_listeners(self.port, host="127.0.0.1")
        self.port = plain[0].socket.getsockname()[1]
        self._scope = trio.CancelScope()
        self._stopped = trio.Event()
        nursery.start_soon(self._accept, plain, name=f"simulator on port {self.port}")

    async def stop(self) -> None:
        """Closes the port and every connection: from now on connections are refused."""
        self._scope.cancel()
        await self._stopped.wait()

    async def _accept(self, plain: list[trio.SocketListener]) -> None:
        try:
            with self._scope:
                if self.tls:
                    secure = [trio.SSLListener(listener, self.tls, https_compatible=True) for listener in plain]
                    await trio.serve_listeners(self.serve, secure)
                else:
                    await trio.serve_listeners(self.serve, plain)
        finally:
            self._stopped.set()

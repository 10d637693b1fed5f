"""Hosts: looks up the addresses of a host once for all connections that need them at the same time."""

import socket
from dataclasses import dataclass, field
from typing import Any

import trio

KEPT_SECONDS = 0.5
"""For how long the result of a lookup is used, also if the host is not known."""


class Hosts(trio.abc.HostnameResolver):
    """A hostname resolver for trio.

    trio's own makes a lookup for each connection, in one of its 40 threads. If the host is not known and many calls are
    in flight, each would wait for its turn, and it would take minutes until they have failed.
    """

    def __init__(self) -> None:
        self._lookups: dict[tuple[Any, ...], _Lookup] = {}

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        family: int = 0,
        type: int = 0,  # noqa: A002  as in trio's interface
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """The addresses, as `socket.getaddrinfo` returns them. Raises its errors."""
        query = (host, port, family, type, proto, flags)
        lookup = self._lookups.get(query)
        if lookup is None or trio.current_time() >= lookup.until:
            lookup = self._lookups[query] = _Lookup()
            # A system task: if the caller is cancelled, the lookup goes on for the others that wait for it.
            trio.lowlevel.spawn_system_task(lookup.run, query)
        await lookup.done.wait()
        if lookup.error is not None:
            raise lookup.error.__class__(*lookup.error.args)  # each caller raises its own
        return lookup.addresses

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        """Nothing needs the name of an address."""
        raise NotImplementedError


@dataclass(eq=False, slots=True)
class _Lookup:
    """One lookup and its result."""

    done: trio.Event = field(default_factory=trio.Event)
    addresses: list[Any] = field(default_factory=list)
    error: OSError | None = None
    until: float = float("inf")

    async def run(self, query: tuple[Any, ...]) -> None:  # noqa: ASYNC910  the thread was awaited
        try:
            self.addresses = await trio.to_thread.run_sync(socket.getaddrinfo, *query, abandon_on_cancel=True)
        except OSError as error:
            self.error = error
        self.until = trio.current_time() + KEPT_SECONDS
        self.done.set()

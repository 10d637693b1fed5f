"""Hosts: looks up the addresses of each host once, for all connections of a run."""

import builtins
import socket
from dataclasses import dataclass, field
from socket import AddressFamily, SocketKind
from typing import Literal

import trio

LOOKUP_SECONDS = 10.0
"""Time limit for the wait for an answer. A slower lookup goes on, and later connections wait for the same one."""
UNKNOWN_SECONDS = 0.5
"""For how long a host stays unknown. Calls that fail one after the other must not wait for a slow lookup each."""

_V4 = tuple[Literal[AddressFamily.AF_INET], SocketKind, int, str, tuple[str, int]]
_V6 = tuple[Literal[AddressFamily.AF_INET6], SocketKind, int, str, tuple[str, int, int, int] | tuple[int, bytes]]
Addresses = list[_V4 | _V6]
"""As `socket.getaddrinfo` returns them."""
_Query = tuple[bytes | str | None, bytes | str | int | None, int, int, int, int]


class Hosts(trio.abc.HostnameResolver):
    """The hostname resolver of a trio run: it remembers the addresses of a host until they are forgotten.

    Without it, each connection looks the host up in one of trio's 40 threads: if the host is not known and many calls
    are in flight, each waits for its turn, and it takes minutes until they have failed.
    """

    def __init__(self) -> None:
        """Becomes the resolver of this trio run."""
        self._lookups: dict[_Query, _Lookup] = {}
        trio.socket.set_custom_hostname_resolver(self)

    def forget(self, addresses: Addresses) -> None:
        """Has the host looked up again by the next connection, unless another one has done so already."""
        self._lookups = {query: one for query, one in self._lookups.items() if one.addresses is not addresses}

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,  # noqa: A002  as above
        proto: int = 0,
        flags: int = 0,
    ) -> Addresses:
        """The addresses; the same list until it is forgotten. Raises `socket.gaierror` if the host is not known."""
        query = (host, port, family, type, proto, flags)
        lookup = self._lookups.get(query)
        if lookup is None or trio.current_time() >= lookup.until:
            lookup = self._lookups[query] = _Lookup()
            # A system task: if the caller is cancelled, the lookup goes on for the others that wait for it.
            trio.lowlevel.spawn_system_task(self._look_up, query, lookup, name=f"addresses of {host!r}")
        with trio.move_on_after(LOOKUP_SECONDS) as scope:
            await lookup.done.wait()
        if scope.cancelled_caught:
            raise socket.gaierror(socket.EAI_AGAIN, f"no answer within {LOOKUP_SECONDS:g} s")
        if lookup.error is not None:
            raise builtins.type(lookup.error)(*lookup.error.args)  # each caller raises its own
        return lookup.addresses

    async def getnameinfo(self, sockaddr: tuple[str, int] | tuple[str, int, int, int], flags: int) -> tuple[str, str]:
        """Nothing needs the name of an address."""
        raise NotImplementedError

    async def _look_up(self, query: _Query, lookup: "_Lookup") -> None:  # noqa: ASYNC910  the thread was awaited
        try:
            lookup.addresses = await trio.to_thread.run_sync(socket.getaddrinfo, *query, abandon_on_cancel=True)
        except OSError as error:
            lookup.error, lookup.until = error, trio.current_time() + UNKNOWN_SECONDS
        lookup.done.set()


@dataclass(eq=False, slots=True)
class _Lookup:
    """One lookup and its result."""

    done: trio.Event = field(default_factory=trio.Event)
    addresses: Addresses = field(default_factory=list)
    error: OSError | None = None
    until: float = float("inf")
    """When the host is looked up again."""

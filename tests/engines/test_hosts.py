"""Connections that are opened at the same time need one lookup of their host, and all fail with it."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio

from job.engines import hosts
from job.engines.failures import remedy
from job.engines.http_connection import HttpConnection, Network
from job.engines.transport import ProcessLimitError, TransportError
from tests.simulators.service import Service
from tests.simulators.wire import Reply

NAME = "engine.test"
REAL = socket.getaddrinfo


@dataclass
class Names:
    """The system's resolver, which knows one name more."""

    answers: threading.Event = field(default_factory=threading.Event)
    """Whether lookups are answered."""
    lookups: int = 0
    error: OSError | None = None

    def __post_init__(self) -> None:
        self.answers.set()

    def getaddrinfo(self, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:  # noqa: A002
        if host not in {NAME, NAME.encode()} or flags & socket.AI_NUMERICHOST:
            return REAL(host, port, family, type, proto, flags)
        self.lookups += 1
        self.answers.wait(10)
        if self.error:
            raise self.error
        return REAL("127.0.0.1", port, family, type, proto, flags)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    made = Names()
    monkeypatch.setattr(socket, "getaddrinfo", made.getaddrinfo)
    return made


@pytest.fixture
async def service(nursery: trio.Nursery) -> AsyncIterator[Service]:
    opened = Service("engine", lambda _seen: Reply(200, b"{}"))
    await opened.start(nursery)
    yield opened
    await opened.stop()


def named(service: Service) -> str:
    return service.url.replace("127.0.0.1", NAME)


async def open_all(url: str, connections: list[HttpConnection]) -> set[TransportError]:
    """Opens and closes them at the same time; returns their errors."""
    errors = set()

    async def open_one(connection: HttpConnection) -> None:
        try:
            await connection.open(url)
        except TransportError as error:
            errors.add(error)
        await connection.aclose()

    async with trio.open_nursery() as nursery:
        for connection in connections:
            nursery.start_soon(open_one, connection)
    return errors


def connections(count: int) -> list[HttpConnection]:
    network = Network()
    return [HttpConnection(network) for _ in range(count)]


async def test_many_connections_need_one_lookup(names: Names, service: Service) -> None:
    assert await open_all(named(service), connections(50)) == set()
    assert names.lookups == 1


async def test_a_host_that_is_not_known_fails_all_at_once_and_is_looked_up_again_later(
    names: Names, service: Service
) -> None:
    names.error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    some = connections(50)
    errors = await open_all(named(service), some)
    assert {str(error) for error in errors} == {"the host is not known (Name or service not known)"}
    assert len(await open_all(named(service), some)) == 50, "as well those that follow at once"
    assert names.lookups == 1
    what = str(remedy("qa", "transport", None, errors.pop().reason, batch=1).what)
    assert what == "No host has that name. Check QA_ENGINE_URL, and that names can be looked up here (DNS)."
    names.error = None
    await trio.sleep(hosts.KEPT_SECONDS)
    assert await open_all(named(service), some) == set()
    assert names.lookups == 2


async def test_a_lookup_goes_on_if_the_first_that_waits_for_it_is_cut_off(names: Names, service: Service) -> None:
    first, second = connections(2)
    names.answers.clear()
    with trio.move_on_after(0.05):
        await first.open(named(service))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(second.open, named(service))
        await trio.sleep(0.05)
        names.answers.set()
    assert (names.lookups, second.is_open()) == (1, True)
    await second.aclose()


async def test_a_limit_of_the_process_is_not_taken_for_an_unknown_host(names: Names, service: Service) -> None:
    names.error = OSError(errno.EMFILE, "Too many open files")
    (error,) = await open_all(named(service), connections(1))
    assert isinstance(error, ProcessLimitError)

"""All connections of a run look a host up once, and again only if it could not be looked up or connected to."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio

from job.engines import hosts as module
from job.engines.failures import remedy
from job.engines.hosts import Hosts
from job.engines.http_connection import HttpConnection, Network
from job.engines.transport import ProcessLimitError, TransportError
from tests.simulators import broken, when
from tests.simulators.service import Fault, Service
from tests.simulators.wire import Reply
from tests.simulators.world import open_world

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


async def open_all(url: str, connections: list[HttpConnection]) -> set[str]:
    """Opens and closes them at the same time; returns why it failed."""
    reasons = set()

    async def open_one(connection: HttpConnection) -> None:
        try:
            await connection.open(url)
        except TransportError as error:
            reasons.add(str(error.reason))
        await connection.aclose()

    async with trio.open_nursery() as nursery:
        for connection in connections:
            nursery.start_soon(open_one, connection)
    return reasons


def connections_of(hosts: Hosts, count: int) -> list[HttpConnection]:
    network = Network(hosts=hosts)
    return [HttpConnection(network) for _ in range(count)]


async def test_many_connections_need_one_lookup(names: Names, service: Service) -> None:
    some = connections_of(Hosts(), 50)
    assert await open_all(named(service), some) == set()
    assert await open_all(named(service), some) == set()
    assert names.lookups == 1


async def test_as_many_connections_as_a_run_may_have_wait_for_one_lookup(names: Names) -> None:
    hosts = Hosts()
    names.answers.clear()
    async with trio.open_nursery() as nursery:
        for _ in range(8192):
            nursery.start_soon(hosts.getaddrinfo, NAME.encode(), 443, 0, socket.SOCK_STREAM)
        await trio.sleep(0.1)
        names.answers.set()
    assert names.lookups == 1


async def test_a_host_that_is_not_known_fails_all_at_once_and_is_looked_up_by_the_next_attempt(
    names: Names, service: Service
) -> None:
    names.error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    some = connections_of(Hosts(), 50)
    reason = "the host is not known (Name or service not known)"
    assert await open_all(named(service), some) == {reason}
    assert await open_all(named(service), some) == {reason}, "as well those that follow at once"
    assert names.lookups == 1
    names.error = None
    await trio.sleep(module.UNKNOWN_SECONDS)
    assert await open_all(named(service), some) == set()
    assert names.lookups == 2


async def test_a_host_that_cannot_be_connected_to_is_looked_up_again_once(
    nursery: trio.Nursery, names: Names, service: Service
) -> None:
    some = connections_of(Hosts(), 50)
    await open_all(named(service), some)
    await service.stop()
    assert await open_all(named(service), some) == {"connection refused"}
    await service.start(nursery)
    assert await open_all(named(service), some) == set()
    assert names.lookups == 2


async def test_a_late_failure_at_the_old_addresses_leaves_the_new_ones(names: Names) -> None:
    hosts = Hosts()
    old = await hosts.getaddrinfo(NAME.encode(), 443)
    hosts.forget(old)
    new = await hosts.getaddrinfo(NAME.encode(), 443)
    hosts.forget(old)
    assert await hosts.getaddrinfo(NAME.encode(), 443) is new
    assert names.lookups == 2


async def test_a_host_whose_tls_fails_is_looked_up_again(names: Names, service: Service) -> None:
    service.script.append(Fault(when.always, broken.reset()))
    some = connections_of(Hosts(), 1)
    for _ in range(2):
        (reason,) = await open_all(named(service).replace("http:", "https:"), some)
        assert reason.startswith(("TLS: ", "connection reset", "the connection ended"))
    assert names.lookups == 2


async def test_a_lookup_goes_on_if_the_first_that_waits_for_it_is_cut_off(names: Names, service: Service) -> None:
    first, second = connections_of(Hosts(), 2)
    names.answers.clear()
    with trio.move_on_after(0.05):
        await first.open(named(service))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(second.open, named(service))
        await trio.sleep(0.05)
        names.answers.set()
    assert (names.lookups, second.is_open()) == (1, True)
    await second.aclose()


async def test_a_lookup_without_an_answer_is_said_to_be_one(
    names: Names, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOKUP_SECONDS", 0.1)
    names.answers.clear()
    some = connections_of(Hosts(), 3)
    for _ in range(2):
        assert await open_all(named(service), some) == {"the host is not known (no answer within 0.1 s)"}
    assert names.lookups == 1, "it is still going on"
    names.answers.set()


async def test_a_limit_of_the_process_is_not_taken_for_an_unknown_host(names: Names, service: Service) -> None:
    names.error = OSError(errno.EMFILE, "Too many open files")
    (connection,) = connections_of(Hosts(), 1)
    with pytest.raises(ProcessLimitError):
        await connection.open(named(service))


async def test_the_remedy_for_a_host_that_is_not_known_names_its_variable(names: Names) -> None:
    names.error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    (connection,) = connections_of(Hosts(), 1)
    with pytest.raises(TransportError) as error:
        await connection.open(f"https://{NAME}")
    what = str(remedy("qa", "transport", None, error.value.reason, batch=1).what)
    assert what == "No host has that name. Check QA_ENGINE_URL, and that names can be looked up here (DNS)."


SLOW = """
import os, socket, time

real = socket.getaddrinfo

def getaddrinfo(host, *args, **options):
    if host == b"engine.test":
        os.write(2, b"looked up\\n")
        time.sleep(0.3)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return real(host, *args, **options)

socket.getaddrinfo = getaddrinfo
"""


@pytest.mark.alone
async def test_a_run_looks_an_unknown_host_up_once_for_all_its_calls(nursery: trio.Nursery) -> None:
    """Otherwise each would wait for one of trio's 40 threads, and most of them for longer than the timeout."""
    config = {"ticker_list.json": [f"T{n}" for n in range(300)], "card_types.json": ["a"]}
    off = {f"run_{engine}_engine": False for engine in ("financials", "trading", "news")}
    async with open_world(nursery, config | {"engine_control.json": off}) as world:
        (world.directory / "sitecustomize.py").write_text(SLOW)
        outcome = await world.run_job(
            env={
                "PYTHONPATH": str(world.directory),
                "QA_ENGINE_URL": "https://engine.test",
                "QA_ENGINE_CONCURRENCY": "250",
                "QA_ENGINE_ATTEMPTS": "1",
                "QA_ENGINE_TIMEOUT": "1",
            }
        )
        assert outcome.exit_code == 3
        assert {"the host is not known" in failure for failure in outcome.finished["failures"]} == {True}
        assert outcome.stderr.count("looked up") <= 3

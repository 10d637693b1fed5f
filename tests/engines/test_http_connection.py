"""A connection returns a complete answer or a failure; it is used again after an answer, replaced after a failure."""

from __future__ import annotations

import errno
import os
import resource
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme

from job.engines.http_connection import HttpConnection, _failure
from job.engines.tls import tls_context
from job.engines.transport import ANSWER_LIMIT, ProcessLimitError, Response, TransportError
from tests.simulators import broken, do, when
from tests.simulators.engines import steady
from tests.simulators.seen import Seen
from tests.simulators.service import Do, Fault, Service
from tests.simulators.wire import Reply as Sent

ANSWER = Sent(200, b'{"status": "success"}')
PATH = "/card/a?ticker=A"


@pytest.fixture
async def service(nursery: trio.Nursery) -> AsyncIterator[Service]:
    opened = Service("engine", lambda _seen: ANSWER)
    await opened.start(nursery)
    yield opened
    await opened.stop()


@pytest.fixture
async def connection() -> AsyncIterator[HttpConnection]:
    opened = HttpConnection(tls_context(None))
    yield opened
    await opened.aclose()


@pytest.fixture
async def secure(nursery: trio.Nursery, tmp_path: Path) -> AsyncIterator[Service]:
    """A service that speaks https, with a certificate that `believing` connections believe."""
    authority, server = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    opened = Service("engine", lambda _seen: ANSWER, tls=server)
    await opened.start(nursery)
    yield opened
    await opened.stop()


async def ask(connection: HttpConnection, url: str, **headers: str) -> Response:
    return await connection.request("POST", url + PATH, headers, None)


async def test_one_connection_serves_all_exchanges(service: Service, connection: HttpConnection) -> None:
    for _ in range(5):
        assert await ask(connection, service.url, Authorization="Bearer t") == Response(200, ANSWER.body)
    assert service.traffic.connections == 1
    assert {seen.target for seen in service.requests} == {PATH}


async def test_an_error_that_was_read_keeps_the_connection(service: Service, connection: HttpConnection) -> None:
    service.script.append(Fault(when.nth(1), do.status(503)))
    assert (await ask(connection, service.url)).status == 503
    assert (await ask(connection, service.url)).status == 200
    assert service.traffic.connections == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (broken.reset(), "connection reset"),
        (broken.reset_in_body(), "connection reset"),
        (broken.truncated(), "the connection ended before the answer did, or the answer is not HTTP"),
        (broken.huge(ANSWER_LIMIT + 1), "the answer is larger than 1 MiB"),
        (broken.endless_body(), "the answer is larger than 1 MiB"),
        (broken.endless_header(), "the connection ended before the answer did, or the answer is not HTTP"),
    ],
    ids=["reset", "reset-in-body", "truncated", "huge", "endless-body", "endless-header"],
)
async def test_an_incomplete_answer_is_an_error_and_the_connection_is_replaced(
    service: Service, connection: HttpConnection, fault: Do, words: str
) -> None:
    service.script.append(Fault(when.nth(1), fault))
    with pytest.raises(TransportError) as error:
        await ask(connection, service.url)
    assert str(error.value) == words
    assert (await ask(connection, service.url)).status == 200
    assert service.traffic.connections == 2


async def test_an_exchange_that_was_cut_off_leaves_nothing_behind(service: Service, connection: HttpConnection) -> None:
    service.script.append(Fault(when.nth(1), do.hang()))
    with trio.move_on_after(0.1) as scope:
        await ask(connection, service.url)
    assert scope.cancelled_caught
    assert (await ask(connection, service.url)).status == 200
    with trio.fail_after(5):
        while service.requests[0].ended is None:  # noqa: ASYNC110  the simulator has no event to wait for
            await trio.sleep(0.005)
    assert service.requests[0].cut_off
    assert service.traffic.connections == 2


async def test_an_engine_may_close_the_connection_after_its_answer(secure: Service, tmp_path: Path) -> None:
    secure.respond = lambda _seen: Sent(200, ANSWER.body, headers=(("connection", "close"),))
    connection = HttpConnection(tls_context(str(tmp_path / "ca.pem")))
    for _ in range(2):
        assert await ask(connection, secure.url) == Response(200, ANSWER.body)
    assert [seen.connection for seen in secure.requests] == [1, 2]
    await connection.aclose()


async def test_a_connection_that_was_cut_off_while_it_was_opened_leaves_nothing_behind(
    nursery: trio.Nursery, connection: HttpConnection
) -> None:
    """It is cancelled during the TLS handshake; the socket is closed at once, not by the garbage collector."""
    ended = trio.Event()

    async def silent(stream: trio.SocketStream) -> None:
        async for _ in stream:
            scope.cancel()
        ended.set()

    listeners = await nursery.start(partial(trio.serve_tcp, silent, 0, host="127.0.0.1"))
    with trio.fail_after(5):
        with trio.CancelScope() as scope:
            await ask(connection, f"https://127.0.0.1:{listeners[0].socket.getsockname()[1]}")
        assert scope.cancelled_caught
        await ended.wait()
    nursery.cancel_scope.cancel()


@dataclass(eq=False)
class CutOff(trio.abc.Instrument):
    """Cancels the scope just before the task is resumed with the result of its wait."""

    task: trio.lowlevel.Task
    scope: trio.CancelScope
    armed: bool = False

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.armed and task is self.task:
            self.scope.cancel()


async def test_an_exchange_that_was_cut_off_at_its_last_byte_leaves_nothing_behind(
    service: Service, connection: HttpConnection
) -> None:
    """httpcore treats a connection as in use forever if its answer was read but not closed."""
    cut_off = CutOff(trio.lowlevel.current_task(), trio.CancelScope())

    def respond(_: Seen) -> Sent:
        cut_off.armed = True
        return ANSWER

    service.respond, service.latency = respond, steady(0.01)
    trio.lowlevel.add_instrument(cut_off)
    with cut_off.scope:
        await ask(connection, service.url)
    trio.lowlevel.remove_instrument(cut_off)
    assert cut_off.scope.cancelled_caught
    assert (await ask(connection, service.url)).status == 200
    assert service.traffic.connections == 2


async def test_an_answer_of_exactly_the_maximum_size_is_accepted(service: Service, connection: HttpConnection) -> None:
    service.script.append(Fault(when.always, broken.huge(ANSWER_LIMIT)))
    assert len((await ask(connection, service.url)).body) == ANSWER_LIMIT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("9" * 400, float("inf")), ("-1", None), ("", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)],
)
async def test_retry_after_is_read_in_seconds(
    service: Service, connection: HttpConnection, value: str, seconds: float | None
) -> None:
    service.script.append(Fault(when.always, do.status(503, retry_after=value)))
    assert (await ask(connection, service.url)).retry_after == seconds


async def test_a_refused_connection_is_an_error(service: Service, connection: HttpConnection) -> None:
    await service.stop()
    with pytest.raises(TransportError) as error:
        await ask(connection, service.url)
    assert str(error.value) == "connection refused"


@pytest.mark.parametrize(
    "make",
    [
        lambda authority: authority.issue_cert("other.example"),
        lambda _: trustme.CA().issue_cert("127.0.0.1"),
    ],
    ids=["for another host", "of another authority"],
)
async def test_a_certificate_is_checked(
    nursery: trio.Nursery,
    tmp_path: Path,
    make: Callable[[trustme.CA], trustme.LeafCert],
) -> None:
    authority, server = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    make(authority).configure_cert(server)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    service = Service("engine", lambda _seen: ANSWER, tls=server)
    await service.start(nursery)
    connection = HttpConnection(tls_context(str(tmp_path / "ca.pem")))
    with pytest.raises(TransportError, match=r"^TLS: "):
        await ask(connection, service.url)
    assert service.requests == []
    await connection.aclose()
    await service.stop()


async def test_too_many_open_files_are_not_reported_as_the_engines_fault(
    service: Service, connection: HttpConnection
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        with pytest.raises(ProcessLimitError) as error:
            await ask(connection, service.url)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert str(error.value) == "too many open files in this process: Too many open files"
    assert (await ask(connection, service.url)).status == 200


TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"


@pytest.mark.parametrize("token", [f"{TOKEN}\r\nX-Evil: 1", f"{TOKEN}\0", f"{TOKEN}é"])
async def test_a_header_that_cannot_be_sent_is_a_failure_that_shows_no_token(
    service: Service, connection: HttpConnection, token: str
) -> None:
    with pytest.raises(TransportError) as error:
        await ask(connection, service.url, Authorization=f"Bearer {token}")
    assert "eyJ" not in str(error.value)
    assert service.requests == []


def test_the_lack_of_a_local_port_is_not_reported_as_the_engines_fault() -> None:
    connecting = OSError("all attempts to connect failed")
    connecting.__cause__ = ExceptionGroup("", [OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")])
    failure = _failure(connecting)
    assert isinstance(failure, ProcessLimitError)
    assert str(failure) == "no local port is free for another connection: Cannot assign requested address"
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    no_ipv6 = OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
    connecting.__cause__ = ExceptionGroup("", [no_ipv6, refused])
    assert (type(_failure(connecting)), str(_failure(connecting))) == (TransportError, "connection refused")

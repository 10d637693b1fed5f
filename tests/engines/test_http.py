"""A request gets its own complete answer, or a failure; what was not sent is known."""

import errno
import gc
import os
import resource
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio
import trustme

from job.engines.answers import ANSWER_LIMIT, AnswerError, Response
from job.engines.failures import Cause
from job.engines.http import LOOK_UPS_AT_A_TIME, OPENED_AT_A_TIME, HttpClient, Network, Resolver, transport_error
from job.engines.tls import tls_context
from job.execution.shutdown import ShutdownError
from tests.simulators import broken, do, when
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
def client(service: Service) -> HttpClient:
    return HttpClient(Network(tls_context(None)), service.url)


@pytest.fixture
async def secure(request: pytest.FixtureRequest, nursery: trio.Nursery, tmp_path: Path) -> AsyncIterator[Service]:
    """A service that speaks https, with a good certificate or one that a test makes; `ca.pem` has the authority."""
    authority, server = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    make = getattr(request, "param", lambda authority: authority.issue_cert("127.0.0.1"))
    make(authority).configure_cert(server)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    opened = Service("engine", lambda _seen: ANSWER, tls=server)
    await opened.start(nursery)
    yield opened
    await opened.stop()


async def ask(client: HttpClient, **headers: str) -> Response:
    return await client.request("POST", PATH, headers, None)


async def test_each_request_has_a_connection_of_its_own_and_its_answer_is_read_whole(
    service: Service, client: HttpClient
) -> None:
    service.script.append(Fault(when.nth(1), do.status(503)))
    assert (await ask(client)).status == 503
    for _ in range(4):
        assert await ask(client, Authorization="Bearer t") == Response(200, ANSWER.body)
    assert [seen.connection for seen in service.requests] == [1, 2, 3, 4, 5]
    assert {seen.target for seen in service.requests} == {PATH}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (broken.reset_in_body(), "connection reset"),
        (broken.truncated(), "the connection ended before the answer did, or the answer is not HTTP"),
        (broken.huge(ANSWER_LIMIT + 1), "the answer is larger than 1 MiB"),
    ],
    ids=["reset", "truncated", "huge"],
)
async def test_an_incomplete_answer_is_an_error_and_the_next_one_is_whole(
    service: Service, client: HttpClient, fault: Do, words: str
) -> None:
    service.script.append(Fault(when.nth(1), fault))
    with pytest.raises(AnswerError) as error:
        await ask(client)
    place = urlsplit(service.url).netloc
    assert str(error.value) == (words if "MiB" in words else f"{words} ({place})")
    assert (await ask(client)).status == 200


@dataclass
class Repeater:
    """A proxy that sends each answer twice: the second time in the same packet, in the next one, while the connection
    is idle, as the next request on it arrives, or while that is at work.
    """

    how: str
    url: str = ""

    async def serve(self, stream: trio.SocketStream) -> None:
        last = b""
        with suppress(trio.BrokenResourceError):
            async for head in stream:
                path = head.split()[1]
                again, last = last, broken.answer(b'{"status": "success", "of": "%b"}' % bytes(path))
                if self.how == "as the next request arrives":
                    await stream.send_all(again)
                if self.how == "at work on the next request":
                    await trio.sleep(0.01)
                    await stream.send_all(again)
                    await trio.sleep(0.01)
                await stream.send_all(last * (1 + (self.how == "in the same packet")))
                if self.how in {"in the next packet", "while idle"}:
                    await trio.sleep(0.02 if self.how == "while idle" else 0)
                    await stream.send_all(last)


@pytest.mark.parametrize("rest", [0.0, 0.05], ids=["at once", "later"])
@pytest.mark.parametrize(
    "how",
    [
        "in the same packet",
        "in the next packet",
        "while idle",
        "as the next request arrives",
        "at work on the next request",
    ],
)
async def test_an_answer_that_is_sent_twice_is_the_answer_to_no_other_request(
    nursery: trio.Nursery, how: str, rest: float
) -> None:
    repeater = Repeater(how)
    (listener,) = await nursery.start(partial(trio.serve_tcp, repeater.serve, 0, host="127.0.0.1"))
    client = HttpClient(Network(tls_context(None)), f"http://127.0.0.1:{listener.socket.getsockname()[1]}")
    for number in range(4):
        answer = await client.request("POST", f"/{number}", {}, None)
        assert answer.body == b'{"status": "success", "of": "/%d"}' % number
        await trio.sleep(rest)
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("path", ["//127.0.0.1:1/a", "http://127.0.0.1:1/a", "@127.0.0.1:1/a"])
async def test_a_request_goes_to_no_other_host(service: Service, client: HttpClient, path: str) -> None:
    assert (await client.request("POST", path, {"Authorization": "Bearer t"}, None)).status == 200
    assert [(seen.target, seen.headers["host"]) for seen in service.requests] == [(path, service.url[len("http://") :])]


async def test_no_redirect_is_followed_and_no_cookie_proxy_or_credentials_of_the_machine_are_used(
    service: Service, client: HttpClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    headers = (("location", f"{service.url}/other"), ("set-cookie", "session=1; path=/"))
    statuses = [302, 307, 308]
    service.respond = lambda _seen: Sent(statuses[len(service.requests) - 1], b"", headers=headers)
    assert [(await ask(client)).status for _ in statuses] == statuses
    assert [seen.target for seen in service.requests] == [PATH] * 3
    assert not any({"cookie", "authorization"} & seen.headers.keys() for seen in service.requests)


@dataclass
class Silent:
    """A port that accepts connections and never sends a byte, not even of TLS."""

    url: str = ""
    opened: int = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        self.opened += 1
        with suppress(trio.BrokenResourceError):
            async for _ in stream:
                pass


@pytest.fixture
async def silent(nursery: trio.Nursery) -> Silent:
    made = Silent()
    listeners = await nursery.start(partial(trio.serve_tcp, made.serve, 0, host="127.0.0.1"))
    made.url = f"https://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
    return made


AT_A_TIME = OPENED_AT_A_TIME + 16


def descriptors() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


async def test_a_look_up_that_is_not_answered_keeps_nothing_else_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread stays at work after it was given up. All else has other threads, such as storage."""
    gate, look_up, begun = threading.Event(), socket.getaddrinfo, 0

    def silent(host: str | bytes, *about: Any) -> Any:
        nonlocal begun
        if isinstance(host, bytes):  # else trio looks whether it is an address
            begun += 1
            gate.wait()
        return look_up("127.0.0.1" if isinstance(host, bytes) else host, *about)

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    trio.socket.set_custom_hostname_resolver(Resolver())
    try:
        with trio.move_on_after(0.5):
            async with trio.open_nursery() as nursery:
                for number in range(2 * LOOK_UPS_AT_A_TIME):
                    nursery.start_soon(trio.socket.getaddrinfo, f"engine-{number}.example", 443)
        assert begun == LOOK_UPS_AT_A_TIME, "of all hosts together"
        with trio.fail_after(30):
            assert await trio.to_thread.run_sync(lambda: "done") == "done"
            gate.set()
            assert (await trio.socket.getaddrinfo("chat.example", 443))[0][4] == ("127.0.0.1", 443)
    finally:
        gate.set()


@pytest.mark.parametrize("failure", ["handshake", "answer", "reset", "shutdown"])
async def test_no_failure_leaves_a_descriptor_behind(
    nursery: trio.Nursery, service: Service, silent: Silent, failure: str
) -> None:
    """Every socket is closed at once, not by the garbage collector."""
    service.script.append(Fault(lambda seen: seen.path == "/answer", do.hang()))
    service.script.append(Fault(lambda seen: seen.path == "/reset", broken.reset_in_body()))
    network, url = Network(tls_context(None)), silent.url if failure == "handshake" else service.url
    client = HttpClient(network, url)
    is_cut_off, failures, sent = failure in {"handshake", "answer"}, 0, 0

    def on_sending() -> None:
        nonlocal sent
        if failure == "shutdown":
            raise ShutdownError
        sent += 1

    async def fail() -> None:
        nonlocal failures

        def sending() -> None:
            on_sending()
            if failure == "answer":
                scope.deadline = trio.current_time() + 0.1

        with (
            trio.move_on_after(0.1 if failure == "handshake" else 60) as scope,
            suppress(AnswerError, ShutdownError),
        ):
            await client.request("POST", f"/{failure}", {}, None, sending)
            pytest.fail("it did not fail")
        assert scope.cancelled_caught == is_cut_off
        failures += 1

    before = descriptors()
    gc.disable()
    try:
        async with trio.open_nursery() as workers:
            for _ in range(AT_A_TIME):
                workers.start_soon(fail)
        with trio.move_on_after(30):  # the servers have theirs in this process too
            while descriptors() > before:  # noqa: ASYNC110  there is no event to wait for
                await trio.sleep(0.01)
        assert (failures, descriptors()) == (AT_A_TIME, before)
        assert sent == (AT_A_TIME if failure in {"answer", "reset"} else 0)
        assert "/shutdown" not in {seen.path for seen in service.requests}, "it is stopped before it is sent"
    finally:
        gc.enable()
    nursery.cancel_scope.cancel()


async def test_what_could_not_be_sent_is_known_to_be_unsent(secure: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    network = Network(tls_context(None))
    for url, wrong in (("http://localhost:1", None), (secure.url, None), ("http://localhost:1", unknown)):
        if wrong is not None:
            monkeypatch.setattr(socket, "getaddrinfo", wrong)
        with pytest.raises(AnswerError):
            await HttpClient(network, url).request("POST", PATH, {}, None, lambda: pytest.fail("it was sent"))


async def test_a_request_is_told_before_it_is_sent_and_not_before_it_can_be(
    service: Service, client: HttpClient
) -> None:
    def on_sending() -> None:
        assert (len(service.requests), told) == (0, [])
        told.append(descriptors())

    told, before = list[int](), descriptors()
    await client.request("POST", PATH, {}, None, on_sending)
    assert told[0] > before, "the connection is open"


async def test_few_connections_are_opened_at_a_time(
    nursery: trio.Nursery, secure: Service, silent: Silent, tmp_path: Path
) -> None:
    network = Network(tls_context(str(tmp_path / "ca.pem")))
    async with trio.open_nursery() as workers:
        for _ in range(OPENED_AT_A_TIME + 10):
            workers.start_soon(ask, HttpClient(network, silent.url))
        with trio.fail_after(30):
            while silent.opened < OPENED_AT_A_TIME:  # noqa: ASYNC110  there is no event to wait for
                await trio.sleep(0.01)
        await trio.sleep(0.05)
        assert silent.opened == OPENED_AT_A_TIME
        workers.cancel_scope.cancel()
    with trio.fail_after(30):
        assert (await ask(HttpClient(network, secure.url))).status == 200, "those that were cut off made room"
    nursery.cancel_scope.cancel()


async def test_an_answer_of_exactly_the_maximum_size_is_accepted(service: Service, client: HttpClient) -> None:
    service.script.append(Fault(when.always, broken.huge(ANSWER_LIMIT)))
    assert len((await ask(client)).body) == ANSWER_LIMIT


async def test_retry_after_is_read_in_seconds(service: Service, client: HttpClient) -> None:
    for value, seconds in (
        ("7", 7.0),
        ("9" * 400, float("inf")),
        ("-1", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ):
        service.script[:] = [Fault(when.always, do.status(503, retry_after=value))]
        assert (await ask(client)).retry_after == seconds


@pytest.mark.parametrize(
    "secure",
    [lambda authority: authority.issue_cert("other.example"), lambda _: trustme.CA().issue_cert("127.0.0.1")],
    indirect=True,
    ids=["for another host", "of another authority"],
)
async def test_a_certificate_is_checked(secure: Service, tmp_path: Path) -> None:
    client = HttpClient(Network(tls_context(str(tmp_path / "ca.pem"))), secure.url)
    with pytest.raises(AnswerError, match=r"^TLS: "):
        await ask(client)
    assert secure.requests == []


async def test_too_many_open_files_are_not_the_engines_fault(service: Service, client: HttpClient) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        with pytest.raises(AnswerError) as error:
            await ask(client)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert str(error.value) == "this process can open no connection: Too many open files"
    assert (await ask(client)).status == 200


TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"


@pytest.mark.parametrize("token", [f"{TOKEN}\r\nX-Evil: 1", f"{TOKEN}é"])
async def test_a_header_that_cannot_be_sent_is_a_failure_that_shows_no_token(
    service: Service, client: HttpClient, token: str
) -> None:
    with pytest.raises(AnswerError) as error:
        await ask(client, Authorization=f"Bearer {token}")
    assert str(error.value) == f"the request cannot be sent as it is ({urlsplit(service.url).netloc})"
    assert service.requests == []


NO_NAME = socket.gaierror(socket.EAI_NONAME, "no such name")
NO_PORT = OSError(errno.EADDRNOTAVAIL, "no port is free")
REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


@pytest.mark.parametrize(
    ("why", "cause", "said"),
    [
        (NO_NAME, Cause.HOST_UNKNOWN, "the host is not known (no such name) (a.example:443)"),
        (ExceptionGroup("", [NO_PORT]), Cause.PROCESS_LIMIT, "this process can open no connection: no port is free"),
        (ExceptionGroup("no IPv6", [NO_PORT, REFUSED]), Cause.TRANSPORT, "connection refused (a.example:443)"),
    ],
)
def test_what_is_not_the_engines_fault_is_a_cause_of_its_own(why: Exception, cause: Cause, said: str) -> None:
    connecting = OSError("all attempts to connect failed")
    connecting.__cause__ = why
    failure = transport_error(connecting, "https://a.example/secret")
    assert (failure.cause, str(failure)) == (cause, said)

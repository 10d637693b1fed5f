"""Every call has a valid token for its engine, whatever the source of tokens is, and tokens are fetched seldom."""

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
import trio
from google.auth import _exponential_backoff
from google.auth.exceptions import TransportError
from trio.testing import MockClock, wait_all_tasks_blocked, wait_all_threads_completed

from job.engines import credentials, id_tokens
from job.engines.answers import AnswerError
from job.engines.failures import Cause
from job.engines.id_tokens import IdTokens
from tests.simulators.tokens import Mint

TOKEN = Mint().token("https://x", 3600)
PERSON = {"type": "authorized_user", "client_id": "id", "client_secret": "secret", "refresh_token": "1//of-a-person"}
ME, REFUSED = "me@p.example", "Permission 'iam.serviceAccounts.getOpenIdToken' denied"


async def test_impersonation_works_on_a_laptop_or_says_why_not_and_quotes_no_answer(
    nursery: trio.Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the proxy of the machine, and by its authorities."""
    (tmp_path / "user.json").write_text(json.dumps(PERSON))
    variables = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "user.json"), "REQUESTS_CA_BUNDLE": "/ca.pem"}
    for name, value in (variables | {"HTTPS_PROXY": "http://proxy"}).items():
        monkeypatch.setenv(name, value)
    access = {"accessToken": "ya29.of-the-account", "expireTime": "2999-01-01T00:00:00Z"}
    answers: dict[str, tuple[int, object]] = {
        "https://oauth2.googleapis.com/token": (200, {"access_token": "ya29.of-a-person", "expires_in": 3599}),
        "generateAccessToken": (200, access),
        "generateIdToken": (200, {"token": TOKEN}),
    }

    def request(session: requests.Session, _method: str, url: str, **_given: object) -> requests.Response:
        account, _, act = url.rpartition("/")[2].partition(":")
        assert account == ME or (session.proxies, session.verify) == ({"https": "http://proxy"}, "/ca.pem")
        answer = requests.Response()
        answer.status_code, value = answers[act or url]
        answer._content = json.dumps(value).encode()
        return answer

    monkeypatch.setattr(requests.Session, "request", request)
    tokens = IdTokens(nursery, ME)
    assert await tokens.get("https://x") == TOKEN
    answers["generateIdToken"] = (200, {"token": {"a": "b"}})
    with pytest.raises(AnswerError) as error:
        await tokens.get("https://y")
    assert str(error.value) == "no token for https://y: the token server's answer is not a token"
    answers["generateIdToken"] = (403, {"error": {"code": 403, "message": REFUSED, "status": "PERMISSION_DENIED"}})
    with pytest.raises(AnswerError, match=r"^no token for https://z: .*getOpenIdToken"):
        await tokens.get("https://z")


class Credentials:
    """The credentials of google-auth, from a token server that answers once it may."""

    token: str | None = None

    def __init__(self, token: str) -> None:
        self._token, self.count = token, 0
        self.is_asked, self.may_answer = threading.Event(), threading.Event()

    @property
    def valid(self) -> bool:
        return self.token is not None

    def refresh(self, _: object) -> None:
        self.count += 1
        self.is_asked.set()
        self.may_answer.wait(60)
        self.token = self._token


async def test_a_token_is_shared_until_it_is_refused(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Credentials("first")
    source.may_answer.set()
    monkeypatch.setattr(credentials, "fetch_id_token_credentials", lambda *_: source)
    tokens = IdTokens(nursery, None)
    assert tokens.cached("https://x") is None
    assert await tokens.get("https://x") == "first"
    source._token = "second"
    assert tokens.cached("https://x") == await tokens.get("https://x") == "first"
    assert tokens.cached("https://x", rejected="first") is None
    assert await tokens.get("https://x", rejected="first") == "second"


async def test_a_token_is_renewed_once_for_all_waiting(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Credentials("one")
    monkeypatch.setattr(credentials, "fetch_id_token_credentials", lambda *_: source)
    tokens = IdTokens(nursery, None)
    async with trio.open_nursery() as workers:
        for _ in range(5):
            workers.start_soon(tokens.get, "https://x")
        assert await trio.to_thread.run_sync(source.is_asked.wait, 30)
        source.may_answer.set()
    assert source.count == 1


async def test_a_token_server_that_never_comes_to_an_end_is_given_up(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, mock_clock: MockClock
) -> None:
    slow, quick = Credentials("late"), Credentials("early")
    quick.may_answer.set()
    made = [slow, quick]
    monkeypatch.setattr(credentials, "fetch_id_token_credentials", lambda *_: made.pop(0))
    tokens = IdTokens(nursery, None)
    error = await error_after_the_limit(tokens, mock_clock, slow)
    assert (str(error), error.cause) == ("no token for https://x: no answer within 30 s", Cause.TOKEN_SERVER)
    assert await tokens.get("https://x") == "early"
    slow.may_answer.set()
    await wait_all_threads_completed()
    assert tokens.cached("https://x") == "early"


async def test_threads_that_wait_for_a_token_server_do_not_become_more_and_more(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, mock_clock: MockClock
) -> None:
    asked = [Credentials("late") for _ in range(10)]
    rest = iter(asked)
    monkeypatch.setattr(credentials, "fetch_id_token_credentials", lambda *_: next(rest))
    tokens = IdTokens(nursery, None)
    for number, one in enumerate(asked):
        await error_after_the_limit(tokens, mock_clock, one if number < id_tokens.THREADS else None)
    for one in asked:
        one.may_answer.set()
    await wait_all_threads_completed()
    assert [one.is_asked.is_set() for one in asked].count(True) == id_tokens.THREADS


async def error_after_the_limit(tokens: IdTokens, clock: MockClock, asked: Credentials | None) -> AnswerError:
    """The error if the time for a renewal passes after these credentials were asked, or before a thread is free."""
    found = []

    async def get() -> None:
        with pytest.raises(AnswerError) as caught:
            await tokens.get("https://x")
        found.append(caught.value)

    async with trio.open_nursery() as getting:
        getting.start_soon(get)
        if asked is not None:
            assert await trio.to_thread.run_sync(asked.is_asked.wait, 30)
        await wait_all_tasks_blocked()
        clock.jump(id_tokens.RENEWAL_SECONDS)
    return found[0]


OPAQUE = "opaque-Zm9yIHRoaXMgdG9rZW4gbm9ib2R5IGhhcyBhbnkgdXNlLCBub3QgZXZlbiB1cw"


@dataclass
class Answer:
    """An answer of the metadata server, as google-auth's transport returns it."""

    data: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "text/plain"})


ACCOUNT = Answer(b'{"email": "me"}', headers={"content-type": "application/json", "metadata-flavor": "Google"})
NOT_THERE = TransportError("refused")


async def error_from(
    found: Exception | Answer, answer: Exception | Answer, monkeypatch: pytest.MonkeyPatch
) -> AnswerError:
    """The error if a metadata server is looked for and asked for a token, and this comes of it."""

    def request(url: str, **_: object) -> Answer:
        reply = answer if "/identity" in url else found
        if isinstance(reply, Exception):
            raise reply
        return reply

    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setattr(_exponential_backoff, "time", SimpleNamespace(sleep=lambda _: None))
    monkeypatch.setattr(credentials, "Request", lambda _: request)
    async with trio.open_nursery() as nursery:
        with pytest.raises(AnswerError) as error:
            await IdTokens(nursery, None).get("https://x")
    return error.value


@pytest.mark.parametrize("data", [OPAQUE, f"{OPAQUE}.{OPAQUE}.{OPAQUE}", "a.e30.b", "<html>sorry</html>", ""])
async def test_an_answer_that_is_no_token_is_not_quoted(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    error = await error_from(ACCOUNT, Answer(data.encode()), monkeypatch)
    assert str(error) == "no token for https://x: the token server's answer is not a token"


@pytest.mark.parametrize(
    ("found", "answer", "cloud", "cause"),
    [
        (NOT_THERE, NOT_THERE, True, Cause.TOKEN_SERVER),
        (NOT_THERE, NOT_THERE, False, Cause.IDENTITY),
        (ACCOUNT, NOT_THERE, False, Cause.TOKEN_SERVER),
        (ACCOUNT, requests.ConnectionError("refused"), False, Cause.TOKEN_SERVER),
        (ACCOUNT, Answer(b"later", 503), True, Cause.TOKEN_SERVER),
        (ACCOUNT, Answer(b"no such account", 404), True, Cause.IDENTITY),
    ],
    ids=["none on Cloud Run", "none on a laptop", "silent", "silent otherwise", "overloaded", "refusal"],
)
async def test_a_token_server_that_does_not_answer_is_not_one_that_refuses(
    found: Exception | Answer, answer: Exception | Answer, cloud: bool, cause: Cause, monkeypatch: pytest.MonkeyPatch
) -> None:
    if cloud:
        monkeypatch.setenv("CLOUD_RUN_JOB", "cards")
    error = await error_from(found, answer, monkeypatch)
    assert error.cause is cause
    assert not str(error).endswith("."), "a sentence may end with it"

"""Every call has a valid token for its engine, whatever the source of tokens is, and tokens are fetched seldom."""

from __future__ import annotations

import json
import re
import textwrap
import threading
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked, wait_all_threads_completed

from job.engines import credentials, id_tokens
from job.engines.id_tokens import IdTokens
from job.engines.transport import TokenError
from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.metadata import by_audience
from tests.simulators.service import Fault
from tests.simulators.world import World, open_world
from tests.support.places import objects
from tests.support.runs import QUICK, SMALL, asked_cards, assert_clean, data_requests, run

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.simulators.seen import Seen
    from tests.simulators.service import Do

DONE = {("AAPL", "news_card"): 1, ("MSFT", "news_card"): 1}


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, SMALL, latency=QUICK) as opened:
        yield opened


def overlapping(requests: list[Seen]) -> bool:
    moments = sorted((request.arrived, request.ended or request.arrived) for request in requests)
    return any(later[0] < earlier[1] for earlier, later in pairwise(moments))


async def test_a_key_file_replaces_the_metadata_server(world: World) -> None:
    await run(world, 0, world.key_file())
    assert asked_cards(world) == DONE
    assert world.metadata.requests == []
    assert len(world.oauth.requests) == 4


async def test_impersonation_works_on_a_laptop(world: World) -> None:
    account = "orchestrator@simulated-project.iam.gserviceaccount.com"
    await run(world, 0, world.user_file() | world.impersonating(account))
    assert asked_cards(world) == DONE
    assert all(request.claims is not None for request in world.qa.requests)


@pytest.mark.slow
async def test_impersonation_that_is_not_allowed_says_so(world: World) -> None:
    env = world.user_file() | world.impersonating("other@simulated-project.iam.gserviceaccount.com")
    world.accounts.impersonable.clear()
    attempts: dict[str, str | None] = {f"{name}_ENGINE_ATTEMPTS": "1" for name in ("FINANCIAL", "TRADING", "NEWS")}
    outcome = await run(world, 1, env | attempts)
    assert "no token for" in outcome.finished["message"]
    assert "getOpenIdToken" in outcome.finished["message"]
    assert data_requests(world) == []


@pytest.mark.slow
async def test_a_persons_own_credentials_are_not_enough_and_it_is_said_why(world: World) -> None:
    await world.metadata.stop()  # as on a laptop
    outcome = await world.run_job(("check",), env=world.user_file())
    assert outcome.exit_code == 1
    assert "set IMPERSONATE_SERVICE_ACCOUNT" in outcome.stdout
    assert outcome.stderr == ""


TICKERS = [f"T{number}" for number in range(40)]


@pytest.fixture
async def busy(nursery: trio.Nursery) -> AsyncIterator[World]:
    """A world with calls for some seconds."""
    config = {"ticker_list.json": TICKERS, "card_types.json": ["a"], "engine_control.json": OFF}
    async with open_world(nursery, config, latency=steady(0.4)) as opened:
        yield opened


OFF = {"run_financials_engine": False, "run_trading_engine": False, "run_news_engine": False}


@pytest.mark.slow
async def test_a_token_is_renewed_before_it_expires_once_for_all_workers(busy: World) -> None:
    """google-auth renews a token 225 s before it expires: these are used for two seconds each."""
    busy.tokens.lifetime = 227.0
    await run(busy, 0, QA_ENGINE_CONCURRENCY="5")
    (asked,) = by_audience(busy.metadata.requests).values()
    assert 2 <= len(asked) <= 4
    assert not overlapping(asked)
    assert len({request.token for request in busy.qa.requests}) == len(asked)
    assert {request.status for request in busy.qa.requests} == {200}


@pytest.mark.slow
async def test_tokens_that_expire_in_mid_run_are_replaced(busy: World) -> None:
    """google-auth treats these as expired at once: every call fetches its own, and none is refused."""
    busy.tokens.lifetime = 2.0
    await run(busy, 0, QA_ENGINE_CONCURRENCY="8")
    (asked,) = by_audience(busy.metadata.requests).values()
    assert not overlapping(asked)
    assert {request.status for request in busy.qa.requests} == {200}
    assert len(asked_cards(busy)) == 40


async def test_a_token_that_an_engine_refuses_is_replaced_once(world: World) -> None:
    world.tokens.cached_until = 1e9  # every request mints a fresh one
    world.qa.script.append(Fault(when.nth(1), do.status(401)))
    await run(world, 0, QA_ENGINE_CONCURRENCY="1")
    refused, again, other = world.qa.requests
    assert refused.token != again.token
    assert again.token == other.token
    assert refused.headers["idempotency-key"] == again.headers["idempotency-key"]


async def test_tokens_for_another_audience_are_refused_and_that_is_final(world: World) -> None:
    world.tokens.foreign_audience = "https://other.example"
    outcome = await run(world, 1, NEWS_ENGINE_CONCURRENCY="1")
    assert "HTTP 401" in outcome.finished["message"]
    assert all(request.attempt <= 2 for request in data_requests(world))
    assert asked_cards(world) == {}


@pytest.mark.slow
async def test_a_token_server_that_recovers_fails_no_call(world: World) -> None:
    identity = when.path("/computeMetadata/v1/instance/service-accounts/default/identity")
    world.metadata.script.append(Fault(when.both(identity, when.attempt(1)), do.status(503)))
    await run(world, 0)
    assert asked_cards(world) == DONE


@pytest.mark.slow
async def test_a_token_server_that_is_down_is_named(world: World) -> None:
    await world.metadata.stop()
    outcome = await run(world, 1, FINANCIAL_ENGINE_ATTEMPTS="1", TRADING_ENGINE_ATTEMPTS="1", NEWS_ENGINE_ATTEMPTS="1")
    assert "no token for" in outcome.finished["message"]
    assert data_requests(world) == []
    assert outcome.finished["cards"]["not_attempted"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("body", [b"", b"<html>sorry</html>", b"a.b.c", b"eyJ0.eyJ9.x\n", b"\xff" * 9])
async def test_an_invalid_answer_of_the_token_server_fails_the_run(world: World, body: bytes) -> None:
    identity = when.path("/computeMetadata/v1/instance/service-accounts/default/identity")
    world.metadata.script.append(Fault(identity, do.raw_body(body, "text/html")))
    outcome = await run(world, 1, FINANCIAL_ENGINE_ATTEMPTS="1", TRADING_ENGINE_ATTEMPTS="1", NEWS_ENGINE_ATTEMPTS="1")
    assert data_requests(world) == []
    assert outcome.finished["outcome"] == "data_engine_failed"


class Credentials:
    """The credentials of google-auth, from a token server that answers once it may."""

    token: str | None = None

    def __init__(self, token: str) -> None:
        self._token = token
        self.is_asked, self.may_answer = threading.Event(), threading.Event()

    @property
    def valid(self) -> bool:
        return self.token is not None

    def refresh(self, _: object) -> None:
        self.is_asked.set()
        self.may_answer.wait(60)
        self.token = self._token


async def test_a_token_server_that_never_comes_to_an_end_is_given_up(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, mock_clock: MockClock
) -> None:
    slow, quick = Credentials("late"), Credentials("early")
    quick.may_answer.set()
    made = [slow, quick]
    monkeypatch.setattr(credentials, "fetch_id_token_credentials", lambda *_: made.pop(0))
    tokens = IdTokens(nursery, None)
    error = await error_after_the_limit(tokens, mock_clock, slow)
    assert error == "no token for https://x: the token server did not answer within 30 s"
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


async def error_after_the_limit(tokens: IdTokens, clock: MockClock, asked: Credentials | None) -> str:
    """The error if the time for a renewal passes after these credentials were asked, or before a thread is free."""
    found = []

    async def get() -> None:
        with pytest.raises(TokenError) as caught:
            await tokens.get("https://x")
        found.append(str(caught.value))

    async with trio.open_nursery() as getting:
        getting.start_soon(get)
        if asked is not None:
            assert await trio.to_thread.run_sync(asked.is_asked.wait, 30)
        await wait_all_tasks_blocked()
        clock.jump(id_tokens.RENEWAL_SECONDS)
    return found[0]


OPAQUE = "opaque-Zm9yIHRoaXMgdG9rZW4gbm9ib2R5IGhhcyBhbnkgdXNlLCBub3QgZXZlbiB1cw"
ONE_ATTEMPT = {f"{name}_ENGINE_ATTEMPTS": "1" for name in ("FINANCIAL", "TRADING", "NEWS")}


@pytest.mark.parametrize(
    ("key_file", "answer"),
    [
        (False, OPAQUE.encode()),
        *(
            pytest.param(*more, marks=pytest.mark.slow)
            for more in (
                (False, f"{OPAQUE}.{OPAQUE}.{OPAQUE}".encode()),
                (True, json.dumps({"id_token": OPAQUE}).encode()),
                (True, json.dumps({"access_token": OPAQUE, "token_type": "Bearer"}).encode()),
            )
        ),
    ],
    ids=["opaque", "three parts", "opaque of a key file", "no ID token of a key file"],
)
async def test_an_invalid_id_token_is_not_quoted(world: World, key_file: bool, answer: bytes) -> None:
    env = world.key_file() if key_file else {}
    identity = when.path("/token" if key_file else "/computeMetadata/v1/instance/service-accounts/default/identity")
    (world.oauth if key_file else world.metadata).script.append(Fault(identity, do.raw_body(answer)))
    outcome = await run(world, 1, env | ONE_ATTEMPT)
    assert re.search(
        r"no token for http://127\.0\.0\.1:\d+: the token server's answer is not a token", outcome.finished["message"]
    )
    assert OPAQUE[:10] not in outcome.stdout
    assert data_requests(world) == []


@pytest.mark.parametrize(
    "answer",
    [
        *(pytest.param(answer, marks=pytest.mark.slow) for answer in (do.raw_body(b""), do.html(), do.status(403))),
        do.raw_body(json.dumps({"token": {"a": OPAQUE}}).encode()),
    ],
    ids=["empty", "a web page", "a web page with a status", "an object in place of a token"],
)
async def test_an_invalid_answer_to_an_impersonation_is_said_in_plain_words(world: World, answer: Do) -> None:
    env = world.user_file() | world.impersonating("orchestrator@simulated-project.iam.gserviceaccount.com")
    world.oauth.script.append(Fault(lambda seen: seen.path.endswith(":generateIdToken"), answer))
    outcome = await run(world, 1, env | ONE_ATTEMPT)
    assert outcome.finished["message"].endswith(": the token server's answer is not a token")
    assert OPAQUE[:10] not in outcome.stdout


@pytest.mark.slow
async def test_a_web_page_in_place_of_a_token_is_said_in_plain_words(world: World) -> None:
    world.oauth.script.append(Fault(when.path("/token"), do.status(404)))
    outcome = await run(world, 1, world.key_file() | ONE_ATTEMPT)
    assert outcome.finished["message"].endswith(": the token server answered with a web page, not with a token")


async def test_a_redirect_does_not_receive_the_token(world: World) -> None:
    world.qa.script.append(Fault(when.ticker("AAPL"), do.redirect(world.elsewhere.url + "/card", 307)))
    outcome = await run(world, 3)
    assert world.elsewhere.requests == []
    assert outcome.finished["failures"] == [
        "qa AAPL news_card: HTTP 307: a redirect, which is not followed (1 attempt)"
    ]


async def test_a_token_that_an_engine_echoes_is_not_shown(nursery: trio.Nursery) -> None:
    config = {"ticker_list.json": ["AAPL"], "card_types.json": ["plain", *ECHOES], "engine_control.json": OFF}
    async with open_world(nursery, config, latency=QUICK) as world:
        for name, echo in ECHOES.items():
            world.qa.script.append(Fault(when.card(name), do.echo_token(400, echo)))
        world.qa.script.append(Fault(when.always, do.echo_token(400)))
        outcome = await run(world, 3, RUNS_URI=world.runs_uri, RUN_ID="night")
        assert len(outcome.finished["failures"]) == 1 + len(ECHOES)
        assert all("[token]" in line for line in outcome.finished["failures"])
        assert_clean(world, outcome)
        tokens = [request.token for request in world.qa.requests if request.token]
        recorded = [content.decode() for content in (await objects(world)).values()]
        assert len(recorded) > 3
        for text in (outcome.stdout, *recorded):
            assert not any(token[at : at + 20] in text for token in tokens for at in range(len(token) - 19))


ECHOES: dict[str, Callable[[str], str]] = {
    "wrapped": lambda token: textwrap.fill(token, 64, break_on_hyphens=False),
    "escaped": lambda token: token.replace(".", "%2E"),
    "tagged": lambda token: f"{token[:50]}<wbr>{token[50:]}",
    "quoted": lambda token: '" + "'.join(textwrap.wrap(token, 30, break_on_hyphens=False)),
}
"""How careless services show a token."""

"""The simulators keep the contract that the job is tested against, and are strict about who asks."""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from tests.simulators.contract import DEFAULT_LIST
from tests.simulators.engines import steady, varied
from tests.simulators.tokens import Mint
from tests.simulators.world import World, open_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.simulators.service import Service

CONFIG = {"ticker_list.json": ["AAPL", "MSFT"], "card_types.json": ["news_card"]}
BATCH = {"tickers": ["AAPL", "msft"]}


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, CONFIG) as opened:
        yield opened


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=5) as opened:
        yield opened


async def call(
    world: World, client: httpx.AsyncClient, service: Service, target: str, body: object = ...
) -> httpx.Response:
    headers = {"authorization": f"Bearer {world.tokens.identity(service.url)}"}
    if body is ...:
        return await client.post(service.url + target, headers=headers)
    return await client.post(service.url + target, headers=headers, json=body)


@pytest.mark.parametrize(
    ("engine", "target", "body", "status", "answer"),
    [
        ("financial", "/batch_refresh", BATCH, 200, {"message": "Batch processing initiated for 2 tickers."}),
        ("financial", "/batch_refresh", {"tickers": "AAPL"}, 422, {}),
        ("financial", "/batch_refresh", {"tickers": [1]}, 422, {}),
        ("financial", "/batch_refresh", ..., 422, {}),
        ("financial", "/refresh", BATCH, 404, {"detail": "Not Found"}),
        ("trading", "/trading_data/batch_refresh", BATCH, 200, {"message": "Refreshed 2 tickers."}),
        ("trading", "/batch_refresh", BATCH, 404, {}),
        ("news", "/batch/process_ticker/AAPL", {"date": None}, 200, {"status": "success"}),
        ("news", "/batch/process_topic/dynamic/rate_vs_inflation", {"date": "2026-11-24"}, 200, {"status": "success"}),
        ("news", "/batch/process_person/dynamic/Elon_Musk", {"date": None}, 200, {"target": "Elon_Musk"}),
        ("news", "/batch/process_ticker/AAPL", {"date": "2026-02-30"}, 400, {}),
        ("news", "/batch/process_ticker/AAPL", [], 422, {}),
        ("news", "/batch/process_ticker/a%2Fb", {"date": None}, 404, {}),
        ("qa", "/card/news_card?ticker=BRK.B", ..., 200, {"ticker": "BRK.B", "card_type": "news_card"}),
        ("qa", "/card/news_card?ticker=%E7%BE%8E%E8%81%94%E5%82%A8", ..., 200, {"ticker": "美联储"}),
        ("qa", "/card/news_card?ticker=AAPL&date_str=24.11.2026", ..., 400, {}),
        ("qa", "/card/news_card", ..., 422, {}),
        ("qa", "/health", ..., 405, {}),
    ],
)
async def test_engines_answer_as_the_contract_says(
    world: World,
    client: httpx.AsyncClient,
    *,
    engine: str,
    target: str,
    body: object,
    status: int,
    answer: dict[str, Any],
) -> None:
    response = await call(world, client, world.engines[engine], target, body)
    assert response.status_code == status
    for key, value in answer.items():
        assert value in response.json()[key]
    seen = world.seen[-1]
    assert (seen.service, seen.status) == (engine, status)
    assert seen.claims is not None
    assert seen.claims["aud"] == world.engines[engine].url
    assert world.violations == []


async def test_results_of_trading_come_back_in_upper_case(world: World, client: httpx.AsyncClient) -> None:
    response = await call(world, client, world.trading, "/trading_data/batch_refresh", BATCH)
    assert list(response.json()["results"]) == ["AAPL", "MSFT"]


async def test_an_empty_list_refreshes_the_default_list_and_is_remembered(
    world: World, client: httpx.AsyncClient
) -> None:
    response = await call(world, client, world.financial, "/batch_refresh", {"tickers": []})
    assert f"{len(DEFAULT_LIST)} tickers" in response.json()["message"]
    assert len(world.violations) == 1


async def test_health_takes_a_token_and_a_get(world: World, client: httpx.AsyncClient) -> None:
    for engine in world.engines.values():
        headers = {"authorization": f"Bearer {world.tokens.identity(engine.url)}"}
        response = await client.get(f"{engine.url}/health", headers=headers)
        assert response.json()["status"] == "ok"
        assert (await client.get(f"{engine.url}/health")).status_code == 403


async def test_a_request_is_remembered_as_it_was_sent(world: World, client: httpx.AsyncClient) -> None:
    before = time.monotonic()
    await call(world, client, world.qa, "/card/a%20b?ticker=%5EGSPC&x=")
    seen = world.qa.requests[0]
    assert seen.target == "/card/a%20b?ticker=%5EGSPC&x="
    assert seen.query == [("ticker", "^GSPC"), ("x", "")]
    assert (seen.card, seen.tickers) == ("a b", ["^GSPC"])
    assert seen.answered is not None
    assert before <= seen.arrived <= seen.answered <= time.monotonic()


async def test_one_connection_serves_many_calls(world: World, client: httpx.AsyncClient) -> None:
    for _ in range(5):
        assert (await call(world, client, world.qa, "/card/a?ticker=AAPL")).status_code == 200
    assert [seen.connection for seen in world.qa.requests] == [1] * 5
    assert [seen.attempt for seen in world.qa.requests] == [1, 2, 3, 4, 5]
    assert world.qa.traffic.connections == 1


@pytest.mark.parametrize(
    ("token", "status"),
    [
        (lambda _world, _audience: None, 403),
        (lambda world, audience: world.tokens.mint.token(audience, 60), 200),
        (lambda world, audience: world.tokens.mint.token(audience, -60), 401),
        (lambda world, audience: world.tokens.mint.token(f"{audience}/", 60), 401),
        (lambda _world, audience: Mint().token(audience, 60), 401),
        (lambda world, audience: world.tokens.mint.token(audience, 60)[:-2], 401),
        (lambda world, audience: world.tokens.mint.token(audience, 60, iss="https://example.com"), 401),
        (lambda _world, _audience: "ä.b.c", 401),
        (lambda _world, _audience: "x", 401),
    ],
)
async def test_engines_accept_only_valid_tokens(
    world: World, client: httpx.AsyncClient, token: Any, status: int
) -> None:
    value = token(world, world.qa.url)
    headers = {} if value is None else {b"authorization": f"Bearer {value}".encode()}
    response = await client.post(f"{world.qa.url}/card/a?ticker=AAPL", headers=headers)
    assert response.status_code == status
    assert (world.seen[-1].claims is not None) == (status == 200)
    if status != 200:
        assert response.headers["content-type"].startswith("text/html")


async def test_a_token_is_invalid_from_the_moment_it_expires(
    world: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"authorization": f"Bearer {world.tokens.mint.token(world.qa.url, 60)}"}
    assert (await client.post(f"{world.qa.url}/card/a?ticker=AAPL", headers=headers)).status_code == 200
    later = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: later)
    assert (await client.post(f"{world.qa.url}/card/a?ticker=AAPL", headers=headers)).status_code == 401


async def test_latency_depends_on_what_is_asked_and_on_the_seed(world: World, client: httpx.AsyncClient) -> None:
    await call(world, client, world.qa, "/card/a?ticker=1")
    await call(world, client, world.qa, "/card/a?ticker=2")
    first, second = world.qa.requests
    assert varied(1.0)(first) == varied(1.0)(first) != varied(1.0)(second)
    assert varied(1.0, seed=1)(first) != varied(1.0)(first)
    await call(world, client, world.financial, "/batch_refresh", BATCH)
    assert steady(1.0, per_ticker=0.5)(world.financial.requests[0]) == 2.0


async def test_an_engine_works_as_long_as_its_latency_says(world: World, client: httpx.AsyncClient) -> None:
    world.qa.latency = steady(0.1)
    before = time.monotonic()
    await call(world, client, world.qa, "/card/a?ticker=1")
    assert time.monotonic() - before >= 0.1


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


async def test_tls_works_for_clients_that_trust_the_authority(nursery: trio.Nursery) -> None:
    async with open_world(nursery, CONFIG, tls=True) as world:
        trusting = ssl.create_default_context(cafile=world.environment()["SSL_CERT_FILE"])
        async with httpx.AsyncClient(verify=trusting, trust_env=False) as client:
            assert (await call(world, client, world.qa, "/card/a?ticker=1")).status_code == 200
        async with httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(httpx.ConnectError) as refused:
                await call(world, client, world.qa, "/card/a?ticker=1")
        assert any(isinstance(error, ssl.SSLCertVerificationError) for error in _behind(refused.value))
        assert len(world.qa.requests) == 1


async def test_a_service_can_go_away_and_come_back(world: World, client: httpx.AsyncClient) -> None:
    await call(world, client, world.qa, "/card/a?ticker=1")
    await world.qa.stop()
    with pytest.raises(httpx.TransportError):
        await call(world, client, world.qa, "/card/a?ticker=1")
    await world.qa.start(world.nursery)
    assert (await call(world, client, world.qa, "/card/a?ticker=1")).status_code == 200


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_the_world_leaves_nothing_behind(nursery: trio.Nursery) -> None:
    before = _open_files()
    async with open_world(nursery, CONFIG) as world, httpx.AsyncClient(trust_env=False) as client:
        await call(world, client, world.qa, "/card/a?ticker=1")
        job = await world.start_job("--version")
        directory, url = world.directory, world.qa.url
    assert job.process.returncode is not None
    assert not directory.exists()
    assert not nursery.child_tasks
    assert _open_files() == before
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(url)


async def test_the_job_inherits_no_variable_of_the_tests(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "ours.json")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    async with open_world(nursery, CONFIG) as world:
        environment = world.environment(CARD_URL="x", HOME=None)
    assert "ours.json" not in environment.values()
    assert "HTTPS_PROXY" not in environment
    assert environment["CARD_URL"] == "x"
    assert "HOME" not in environment

"""The simulators keep the contract that the job is tested against, and are strict about who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from tests.simulators.contract import DEFAULT_LIST
from tests.simulators.tokens import Mint
from tests.simulators.world import World, open_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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


async def test_an_empty_list_refreshes_the_default_list_and_is_remembered(
    world: World, client: httpx.AsyncClient
) -> None:
    response = await call(world, client, world.financial, "/batch_refresh", {"tickers": []})
    assert f"{len(DEFAULT_LIST)} tickers" in response.json()["message"]
    assert len(world.violations) == 1


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

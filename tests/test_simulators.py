"""The simulators keep the contract that the job is tested against; each fault does what its name says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from .simulators.world import World, open_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import trio

    from .simulators.service import Service

CONFIG = {"ticker_list.json": ["AAPL", "MSFT"], "card_types.json": ["news_card"]}
BATCH = {"tickers": ["AAPL", "msft"]}


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, CONFIG) as opened:
        yield opened


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, timeout=5) as opened:
        yield opened


def identity(world: World, service: Service) -> dict[str, str]:
    return {"authorization": f"Bearer {world.tokens.identity(service.url)}"}


async def call(
    world: World, client: httpx.AsyncClient, service: Service, target: str, json: object = ...
) -> httpx.Response:
    body = {} if json is ... else {"json": json}
    return await client.post(service.url + target, headers=identity(world, service), **body)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("engine", "target", "body", "status", "answer"),
    [
        ("financial", "/batch_refresh", BATCH, 200, {"message": "Batch processing initiated for 2 tickers."}),
        ("financial", "/batch_refresh", {"tickers": "AAPL"}, 422, {}),
        ("financial", "/batch_refresh", {"tickers": [1]}, 422, {}),
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
    assert (seen.service, seen.target, seen.status) == (engine, target, status)
    assert seen.claims is not None
    assert seen.claims["aud"] == world.engines[engine].url
    assert world.violations == []


async def test_one_connection_serves_many_calls(world: World, client: httpx.AsyncClient) -> None:
    for _ in range(5):
        assert (await call(world, client, world.qa, "/card/a?ticker=AAPL")).status_code == 200
    assert [seen.connection for seen in world.qa.requests] == [1] * 5
    assert [seen.attempt for seen in world.qa.requests] == [1, 2, 3, 4, 5]
    assert world.qa.traffic.connections == 1

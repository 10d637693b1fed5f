"""The simulators keep the contract that the job is tested against, and are strict about who asks."""

import json
from typing import Any

import pytest

from tests.simulators.contract import CONTRACTS, DEFAULT_LIST, violation
from tests.simulators.engines import engine as make_engine
from tests.simulators.seen import Seen
from tests.simulators.tokens import Mint

BATCH = {"tickers": ["AAPL", "msft"]}


def asked(engine: str, target: str, body: object = ..., token: str | None = None) -> Seen:
    """A request that arrives at an engine."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return Seen(engine, 1, 1, 1, "POST", target, headers, b"" if body is ... else json.dumps(body).encode(), 0.0)


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
def test_engines_answer_as_the_contract_says(
    engine: str, target: str, body: object, status: int, answer: dict[str, Any]
) -> None:
    seen = asked(engine, target, body)
    reply = CONTRACTS[engine](seen)
    assert reply.status == status
    assert all(value in json.loads(reply.body)[key] for key, value in answer.items())
    assert violation(seen) is None


def test_an_empty_list_refreshes_the_default_list_and_is_remembered() -> None:
    seen = asked("financial", "/batch_refresh", {"tickers": []})
    assert f"{len(DEFAULT_LIST)} tickers" in CONTRACTS["financial"](seen).body.decode()
    assert violation(seen) is not None


MINT = Mint()


@pytest.mark.parametrize(
    ("token", "status"),
    [
        (lambda _: None, 403),
        (lambda audience: MINT.token(audience, 60), None),
        (lambda audience: MINT.token(audience, -60), 401),
        (lambda audience: MINT.token(f"{audience}/", 60), 401),
        (lambda audience: Mint().token(audience, 60), 401),
        (lambda audience: MINT.token(audience, 60)[:-2], 401),
        (lambda audience: MINT.token(audience, 60, iss="https://example.com"), 401),
        (lambda _: "ä.b.c", 401),
        (lambda _: "x", 401),
    ],
)
def test_engines_accept_only_valid_tokens(token: Any, status: int | None) -> None:
    qa = make_engine("qa", MINT, [])
    seen = asked("qa", "/card/a?ticker=AAPL", token=token(qa.url))
    refusal = qa.guard(seen)
    assert (refusal and refusal.status) == status
    assert refusal is None or refusal.content_type.startswith("text/html")
    assert (seen.claims is not None) == (refusal is None)

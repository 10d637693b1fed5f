"""A call has the same key in every attempt at a run, and any other request has another."""

from __future__ import annotations

from job.engines.calls import card, financial, news, trading
from job.engines.identity import RunIdentity

CALLS = [
    card("AAPL", "news_card", "2026-11-24", [("model_name", "a")]),
    card("AAPL", "news_card", "2026-11-25", [("model_name", "a")]),
    card("AAPL", "news_card", None, [("model_name", "a")]),
    card("AAPL", "news_card", "2026-11-24", [("model_name", "b")]),
    card("AAPL", "news_card", "2026-11-24", [("preferred_llm_backend", "a")]),
    card("AAPL", "risk_card", "2026-11-24", [("model_name", "a")]),
    card("MSFT", "news_card", "2026-11-24", [("model_name", "a")]),
    news("AAPL", "equity", "AAPL", "2026-11-24"),
    news("AAPL", "equity", "AAPL", "2026-11-25"),
    news("AAPL", "topic", "AAPL", "2026-11-24"),
    financial(["AAPL", "MSFT"]),
    financial(["AAPL"]),
    trading(["AAPL"]),
]


def keys(run_id: str) -> list[str]:
    return [RunIdentity(run_id).idempotency_key(*call.fingerprint) for call in CALLS]


def test_every_request_of_every_run_has_a_key_of_its_own_and_always_the_same() -> None:
    assert keys("night") == keys("night")
    assert len({*keys("night"), *keys("another")}) == 2 * len(CALLS)

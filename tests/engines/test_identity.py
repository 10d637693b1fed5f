"""A call has the same key in every try of a day, and any other request has another."""

from job.engines.calls import card, financial, news, trading
from job.engines.identity import RunIdentity, new_trace_id

CALLS = [
    card("AAPL", "news_card", "2026-11-24", [("model_name", "a")]),
    card("AAPL", "news_card", "2026-11-25", [("model_name", "a")]),
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


def keys(trace_id: str) -> list[str]:
    """The keys of all calls: the first time, and for two requests to make their items again."""
    day = RunIdentity(trace_id)
    return [day.idempotency_key(*call.fingerprint, rerun=again) for call in CALLS for again in (0, 2, 3)]


def test_every_request_of_every_day_has_a_key_of_its_own_and_always_the_same() -> None:
    one, other = new_trace_id(), new_trace_id()
    assert keys(one) == keys(one)
    assert len({*keys(one), *keys(other)}) == 2 * 3 * len(CALLS)
    assert {len(key) for key in keys(one)} == {32}


def test_each_call_has_a_span_of_its_own_in_the_trace_of_the_day() -> None:
    trace_id = new_trace_id()
    first, second = (RunIdentity(trace_id).traceparent() for _ in range(2))
    assert first != second
    assert first[:36] == second[:36] == f"00-{trace_id}-"
    assert (len(first), first[-3:]) == (55, "-01")

"""A fault that happens once does not fail the run; one that lasts ends it at once with the right error."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
import trio

from job.engines.answers import VALUES_LIMIT
from tests.simulators import broken, do, when
from tests.simulators.service import Do, Fault
from tests.simulators.world import World, open_world
from tests.support.runs import QUICK, SMALL, asked_cards, at_once, data_requests, ended, run, until

PASSING: dict[str, Do] = {
    "status-429": do.status(429),
    "status-500": do.status(500, {"detail": "out of memory"}),
    "status-502": do.status(502),
    "status-503": do.status(503, retry_after="1"),
    "status-504": do.late_status(504),
    "status-401": do.status(401),
    "null-bytes": do.raw_body(b"\0\0"),
    "empty": do.raw_body(b""),
    "html": do.html(),
    "half-json": do.raw_body(b'{"status": "suc'),
    "not-an-object": do.body(["success"]),
    "says-failed": do.body({"status": "failed", "message": "no"}),
    "null": do.body(None),
    "reset": broken.reset(),
    "reset-after-work": broken.reset_after_work(),
    "reset-in-body": broken.reset_in_body(),
    "truncated": broken.truncated(),
    "huge": broken.huge(20_000_000),
    "endless-body": broken.endless_body(),
    "endless-header": broken.endless_header(),
    "trickle": broken.trickle(0.2),
    "hang": do.hang(),
}
"""What passes: one more attempt is enough."""


@pytest.mark.slow
async def test_after_each_fault_a_card_needs_just_one_more_attempt(nursery: trio.Nursery) -> None:
    config = {"ticker_list.json": ["AAPL"], "card_types.json": [*PASSING, "fine"], "engine_control.json": OFF}
    async with open_world(nursery, config, latency=QUICK) as world:
        first = when.attempt(1)
        world.qa.script += [Fault(when.both(when.card(name), first), fault) for name, fault in PASSING.items()]
        outcome = await run(world, 0, QA_ENGINE_TIMEOUT="1.5")
        assert asked_cards(world) == {("AAPL", "fine"): 1, **{("AAPL", name): 2 for name in PASSING}}
        assert outcome.finished["cards"]["generated"] == len(PASSING) + 1
        keys = Counter(request.headers["idempotency-key"] for request in world.qa.requests)
        assert sorted(keys.values()) == [1] + [2] * len(PASSING)


OFF = {"run_financials_engine": False, "run_trading_engine": False, "run_news_engine": False}


@pytest.mark.slow
async def test_after_each_fault_a_data_engine_needs_just_one_more_attempt(nursery: trio.Nursery) -> None:
    config = {"ticker_list.json": list(PASSING), "card_types.json": ["a"]}
    async with open_world(nursery, config, latency=QUICK) as world:
        for engine in (world.financial, world.trading, world.news):
            for name, fault in PASSING.items():
                engine.script.append(Fault(when.both(when.ticker(name), when.attempt(1)), fault))
        env = {f"{name}_ENGINE_TIMEOUT": "1.5" for name in ("FINANCIAL", "TRADING", "NEWS")}
        env |= {f"{name}_ENGINE_BATCH_SIZE": "1" for name in ("FINANCIAL", "TRADING")}
        env |= {f"{name}_ENGINE_CONCURRENCY": "16" for name in ("FINANCIAL", "TRADING", "NEWS")}
        await run(world, 0, env)
        for engine in (world.financial, world.trading, world.news):
            asked = Counter(ticker for request in engine.requests for ticker in request.tickers)
            assert asked == dict.fromkeys(PASSING, 2), engine.name
        assert len(asked_cards(world)) == len(PASSING)


async def test_a_batch_is_asked_again_for_its_failed_tickers_only(nursery: trio.Nursery) -> None:
    config = {"ticker_list.json": ["A", "B", "C"], "card_types.json": ["a"]}
    async with open_world(nursery, config, latency=QUICK) as world:
        world.trading.script += [Fault(when.nth(1), do.failing("B")), Fault(when.nth(2), do.lacking("B"))]
        await run(world, 0)
        assert [request.tickers for request in world.trading.requests] == [["A", "B", "C"], ["B"], ["B"]]


@pytest.fixture
async def small(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, SMALL, latency=QUICK) as opened:
        yield opened


@pytest.mark.slow
async def test_a_news_engine_with_nothing_to_do_is_a_success(small: World) -> None:
    small.news.script.append(Fault(when.always, do.skipped()))
    outcome = await run(small, 0)
    assert outcome.finished["cards"]["generated"] == len(asked_cards(small)) > 0


async def test_a_second_answer_is_not_taken_for_that_of_the_next_batch(small: World) -> None:
    """The second answer says success, but the next batch is rejected: no card may be requested."""
    second = broken.answer(b'{"message": "Batch processing initiated for 1 tickers."}')
    small.financial.script.append(Fault(when.nth(1), broken.surplus(second)))
    small.financial.script.append(Fault(when.nth(2), do.status(400, after=0.3)))
    outcome = await run(small, 1, FINANCIAL_ENGINE_CONCURRENCY="1", FINANCIAL_ENGINE_BATCH_SIZE="1")
    assert "the financial engine failed for MSFT after 1 attempt: HTTP 400" in outcome.finished["message"]
    assert small.qa.requests == []


LATER = 0.4
"""Seconds after which an engine fails: the others are waiting by then."""


@contextmanager
def black_hole() -> Iterator[str]:
    """The address of a port that answers no attempt to connect, as its accept queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        queued = [socket.socket() for _ in range(3)]
        try:
            for client in queued:
                client.setblocking(False)
                client.connect_ex(address)
            yield f"http://{address[0]}:{address[1]}"
        finally:
            for client in queued:
                client.close()


@contextmanager
def silent_port() -> Iterator[str]:
    """The address of a port that accepts connections and never sends a byte, not even of TLS."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        host, port = listener.getsockname()
        yield f"https://{host}:{port}"


@pytest.mark.alone
@pytest.mark.parametrize(
    "waiting_for",
    [
        pytest.param("answer", marks=pytest.mark.slow),
        pytest.param("body", marks=pytest.mark.slow),
        pytest.param("token", marks=pytest.mark.slow),
        "connection",
        pytest.param("tls", marks=pytest.mark.slow),
        pytest.param("backoff", marks=pytest.mark.slow),
    ],
)
async def test_an_engines_failure_ends_the_process_at_once(small: World, waiting_for: str) -> None:
    """Whatever the siblings wait for, the process is gone half a second after the answer that failed."""
    env: dict[str, str | None] = {}
    small.news.script.append(Fault(when.always, do.status(403, {"detail": "no"}, after=LATER)))
    with black_hole() as hole, silent_port() as silent_url:
        match waiting_for:
            case "answer":
                small.trading.script.append(Fault(when.always, do.hang()))
            case "body":
                small.trading.script.append(Fault(when.always, broken.endless_body(0.05)))
            case "token":
                env["FINANCIAL_ENGINE_AUDIENCE"] = f"https://hang.example {small.financial.url}"
                small.metadata.script.append(
                    Fault(lambda seen: dict(seen.query).get("audience") == "https://hang.example", do.hang())
                )
            case "connection":
                env["TRADING_ENGINE_URL"] = hole
            case "tls":
                env |= {"TRADING_ENGINE_URL": silent_url, "FINANCIAL_ENGINE_URL": silent_url}
            case "backoff":
                small.trading.script.append(Fault(when.always, do.status(503, retry_after="20")))
        job = await small.start_job(env=env)
        outcome, gone = await ended(small, job, 1)
    answers = [request.answered for request in small.news.requests if request.answered is not None]
    assert gone - min(answers) < at_once(job)
    assert outcome.stderr == ""
    assert outcome.finished["outcome"] == "data_engine_failed"
    assert outcome.finished["message"] in {
        f'No card was requested: the news engine failed for {name} after 1 attempt: HTTP 403: {{"detail": "no"}}'
        for name in ("AAPL", "MSFT")
    }
    assert outcome.finished["cards"] == {
        "planned": 2,
        "generated": 0,
        "skipped": 0,
        "failed": 0,
        "not_attempted": 2,
        "left_out": 0,
    }
    assert small.qa.requests == []
    if waiting_for in {"answer", "body"}:
        await until(lambda: all(request.ended for request in data_requests(small)))
        assert all(request.cut_off for request in small.trading.requests)


@pytest.mark.alone
@pytest.mark.parametrize(
    "values",
    [
        pytest.param(8 * 2**20 // 3, id="8 MiB"),
        pytest.param(VALUES_LIMIT // 2 - 1, id="as many values as are allowed", marks=pytest.mark.slow),
    ],
)
async def test_large_answers_do_not_delay_a_failure(nursery: trio.Nursery, values: int) -> None:
    """Eight answers take seconds to parse, if they are parsed at all; another engine's failure comes among them."""
    config = {"ticker_list.json": [f"T{number}" for number in range(8)], "card_types.json": ["a"]}
    async with open_world(nursery, config, latency=QUICK) as world:
        all_there = trio.Event()
        world.news.script.append(Fault(when.always, do.raw_body(b"[" + b"[]," * (values - 1) + b"[]]")))
        world.financial.script.append(Fault(when.always, do.status(400, once=all_there)))
        job = await world.start_job(env={"FINANCIAL_ENGINE_BATCH_SIZE": "8"})
        await world.news.until(lambda requests: sum(request.ended is not None for request in requests) >= 8)
        await trio.sleep(0.1)
        all_there.set()
        outcome, gone = await ended(world, job, 1)
        (answered,) = (request.answered for request in world.financial.requests)
        assert answered is not None
        assert gone - answered < at_once(job)
        assert "the financial engine failed for T0" in outcome.finished["message"]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["financial", "trading", "news"])
async def test_each_data_engine_can_stop_the_run(small: World, engine: str) -> None:
    small.engines[engine].script.append(Fault(when.always, do.status(404)))
    outcome = await run(small, 1)
    assert f"the {engine} engine failed for " in outcome.finished["message"]
    assert "after 1 attempt: HTTP 404" in outcome.finished["message"]
    assert small.qa.requests == []


@pytest.mark.slow
async def test_a_ticker_that_fails_for_good_stops_the_run(small: World) -> None:
    small.trading.script.append(Fault(when.always, do.failing("MSFT")))
    outcome = await run(small, 1)
    assert outcome.finished["message"] == (
        "No card was requested: the trading engine failed for MSFT after 4 attempts: MSFT: failed: no price history"
    )
    assert [request.tickers for request in small.trading.requests] == [["AAPL", "MSFT"]] + [["MSFT"]] * 3


@pytest.mark.slow
async def test_an_engine_that_refuses_connections_is_named(small: World) -> None:
    await small.trading.stop()
    outcome = await run(small, 1, TRADING_ENGINE_ATTEMPTS="2")
    assert "the trading engine failed every one of " in outcome.finished["message"]
    assert "connection refused" in outcome.finished["message"]


@pytest.mark.slow
async def test_a_host_that_does_not_exist_is_named(small: World) -> None:
    outcome = await run(small, 1, NEWS_ENGINE_URL="https://news.invalid", NEWS_ENGINE_ATTEMPTS="1")
    assert "the host is not known" in outcome.finished["message"]


async def test_an_answer_that_is_too_large_is_not_read_to_its_end(small: World) -> None:
    small.qa.script.append(Fault(when.ticker("AAPL"), broken.huge()))
    outcome = await run(small, 3, QA_ENGINE_ATTEMPTS="1")
    assert outcome.finished["failures"] == ["qa AAPL news_card: the answer is larger than 8 MiB (1 attempt)"]

"""Each fault of the simulators does to a client what its name says, and strikes just the requests that it should."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from tests.simulators import broken, do, when
from tests.simulators.engines import steady
from tests.simulators.seen import Seen, peak
from tests.simulators.service import Do, Fault, Service
from tests.simulators.world import World, open_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.simulators.when import When


pytestmark = pytest.mark.slow  # the job's own tests depend on what the simulators promise


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, {}) as opened:
        yield opened


async def ask(
    world: World,
    target: str = "/card/news_card?ticker=AAPL",
    *,
    service: Service | None = None,
    patience: float = 2.0,
) -> httpx.Response:
    """One call on a connection of its own; patience is httpx's, for each read."""
    service = service or world.qa
    headers = {"authorization": f"Bearer {world.tokens.identity(service.url)}"}
    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=patience) as client:
        return await client.post(service.url + target, headers=headers)


async def batch(world: World, *tickers: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {world.tokens.identity(world.trading.url)}"}
    async with httpx.AsyncClient(verify=False, trust_env=False) as client:
        url = f"{world.trading.url}/trading_data/batch_refresh"
        return await client.post(url, headers=headers, json={"tickers": tickers})


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        (do.nothing(), 200, "success"),
        (do.status(503), 503, "<html>"),
        (do.status(429, retry_after="7"), 429, "<html>"),
        (do.status(400, {"detail": "no"}), 400, '{"detail": "no"}'),
        (do.late_status(504), 504, "<html>"),
        (do.body(None), 200, "null"),
        (do.body({"status": "failed"}), 200, '{"status": "failed"}'),
        (do.raw_body(b""), 200, ""),
        (do.html(), 200, "<html>"),
        (do.skipped(), 200, "skipped"),
        (do.edited(lambda answer: answer["ticker"]), 200, '"AAPL"'),
        (do.slow(0.01), 200, "success"),
        (broken.trickle(0.0), 200, "success"),
        (broken.huge(3_000_000), 200, "success"),
    ],
)
async def test_answers_that_arrive(world: World, fault: Do, status: int, text: str) -> None:
    world.qa.script.append(Fault(when.always, fault))
    response = await ask(world)
    assert (response.status_code, text in response.text) == (status, True)
    assert (response.text == "") == (text == "")
    assert (response.headers.get("retry-after") == "7") == (status == 429)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (broken.reset(), httpx.ReadError),
        (broken.reset_after_work(), httpx.ReadError),
        (broken.reset_in_body(), httpx.ReadError),
        (broken.truncated(), httpx.RemoteProtocolError),
        (broken.endless_header(), httpx.RemoteProtocolError),
        (do.hang(), httpx.ReadTimeout),
        (do.slow(9), httpx.ReadTimeout),
        (broken.trickle(9), httpx.ReadTimeout),
        (broken.endless_body(pause=9), httpx.ReadTimeout),
        (broken.endless_header(pause=9), httpx.ReadTimeout),
    ],
)
async def test_answers_that_do_not_arrive(world: World, fault: Do, error: type[Exception]) -> None:
    world.qa.script.append(Fault(when.always, fault))
    with pytest.raises(error):
        await ask(world, patience=0.2 if error is httpx.ReadTimeout else 5)


async def test_an_endless_answer_is_never_idle(world: World) -> None:
    """A timeout per read does not end these: only one for the whole call does, and then the service notices it."""
    faults = broken.trickle(0.05), broken.endless_body(0.02), broken.endless_header(0.02), broken.huge(10**12)
    caught = []

    async def try_for_a_while(service: Service) -> None:
        with trio.move_on_after(0.6) as scope:
            await ask(world, service=service, patience=0.4)
        caught.append(scope.cancelled_caught)

    async with trio.open_nursery() as nursery:
        for service, fault in zip(world.engines.values(), faults, strict=True):
            service.script.append(Fault(when.always, fault))
            nursery.start_soon(try_for_a_while, service)
    assert caught == [True] * 4
    for service in world.engines.values():
        seen = await _until_over(service)
        assert seen.cut_off
        assert seen.answered is None


async def _until_over(service: Service, number: int = 1) -> Seen:
    with trio.fail_after(1):
        await service.until(lambda requests: requests[number - 1].ended is not None)
    return service.requests[number - 1]


@pytest.mark.parametrize("latency", [0.0, 9.0])
async def test_a_client_that_hangs_up_is_noticed_at_once(world: World, latency: float) -> None:
    world.qa.latency = steady(latency)
    world.qa.script.append(Fault(when.always, do.nothing() if latency else do.hang()))
    with trio.move_on_after(0.1):
        await ask(world)
    left = time.monotonic()
    seen = await _until_over(world.qa)
    assert seen.cut_off
    assert seen.status is None
    assert seen.ended is not None
    assert seen.ended - left < 1
    assert world.qa.working == 0


async def test_a_held_answer_comes_when_the_test_says_so(world: World) -> None:
    gate = trio.Event()
    world.qa.script.append(Fault(when.always, do.held(gate)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, world)
        nursery.start_soon(ask, world)
        await world.qa.until(lambda requests: len(requests) == 2)
        await trio.sleep(0.05)
        assert [seen.answered for seen in world.qa.requests] == [None, None]
        gate.set()
    assert all(seen.answered for seen in world.qa.requests)
    assert peak(world.qa.requests) == 2
    world.qa.script[:] = [Fault(when.always, do.held(trio.Event()))]
    with trio.move_on_after(0.05):
        await ask(world)
    assert (await _until_over(world.qa, 3)).cut_off


async def test_results_of_trading_can_be_wrong(world: World) -> None:
    world.trading.script.append(Fault(when.nth(1), do.lacking("MSFT")))
    world.trading.script.append(Fault(when.nth(2), do.failing("MSFT", message="no prices")))
    assert list((await batch(world, "AAPL", "MSFT")).json()["results"]) == ["AAPL"]
    results = (await batch(world, "AAPL", "MSFT")).json()["results"]
    assert results["AAPL"]["status"] == "success"
    assert results["MSFT"] == {"status": "failed", "message": "no prices"}


async def test_a_redirect_leads_to_where_a_leaked_token_would_be_seen(world: World) -> None:
    world.qa.script.append(Fault(when.always, do.redirect(world.elsewhere.url + "/trap")))
    headers = {"authorization": "Bearer " + world.tokens.identity(world.qa.url)}
    async with httpx.AsyncClient(verify=False, trust_env=False) as client:
        sent = await client.post(f"{world.qa.url}/card/a?ticker=1", headers=headers)
        assert sent.status_code == 302
        await client.get(sent.headers["location"], headers=headers)
    assert [seen.path for seen in world.elsewhere.requests] == ["/trap"]
    assert world.elsewhere.requests[0].token == world.tokens.identity(world.qa.url)


async def test_an_error_can_echo_the_token(world: World) -> None:
    world.qa.script.append(Fault(when.always, do.echo_token(500)))
    response = await ask(world)
    assert response.status_code == 500
    assert world.tokens.identity(world.qa.url) in response.text


async def test_steps_in_turn_are_met_one_by_one(world: World) -> None:
    world.qa.script.append(Fault(when.always, do.in_turn(do.status(401), do.status(503), do.nothing())))
    assert [(await ask(world)).status_code for _ in range(4)] == [401, 503, 200, 200]


async def test_the_first_fault_that_matches_is_the_one(world: World) -> None:
    world.qa.script.append(Fault(when.card("news_card"), do.status(500)))
    world.qa.script.append(Fault(when.always, do.status(503)))
    assert (await ask(world)).status_code == 500
    assert (await ask(world, "/card/price_card?ticker=AAPL")).status_code == 503


def request(number: int = 1, **changes: object) -> Seen:
    """A request as a predicate sees it."""
    known = {
        "service": "qa",
        "number": number,
        "attempt": 1,
        "connection": 1,
        "method": "POST",
        "target": "/card/news_card?ticker=AAPL",
        "headers": {},
        "body": b"",
        "arrived": 0.0,
        "elapsed": 0.0,
    }
    return Seen(**(known | changes))  # type: ignore[arg-type]


BATCHED = request(target="/batch_refresh", body=b'{"tickers": ["AAPL", "MSFT"]}')


@pytest.mark.parametrize(
    ("predicate", "strikes", "spares"),
    [
        (when.nth(2, 4), [request(2), request(4)], [request(1), request(3)]),
        (when.first(2), [request(1), request(2)], [request(3)]),
        (when.every(3), [request(1), request(4)], [request(2), request(3)]),
        (when.every(1), [request(1), request(2)], []),
        (when.attempt(1), [request(5)], [request(5, attempt=2)]),
        (when.ticker("MSFT"), [BATCHED, request(target="/batch/process_ticker/MSFT")], [request()]),
        (when.card("news_card"), [request()], [request(target="/card/x?ticker=AAPL"), BATCHED]),
        (when.path("/card/"), [request()], [BATCHED]),
        (when.method("POST"), [request()], [request(method="GET")]),
        (when.chance(0), [], [request()]),
        (when.chance(1), [request()], []),
        (when.both(when.nth(1), when.card("news_card")), [request()], [request(2), BATCHED]),
        (when.no(when.nth(1)), [request(2)], [request(1)]),
    ],
)
def test_predicates_strike_what_they_name(predicate: When, strikes: list[Seen], spares: list[Seen]) -> None:
    assert all(predicate(seen) for seen in strikes)
    assert not any(predicate(seen) for seen in spares)


def test_chance_picks_the_same_share_whatever_the_order() -> None:
    requests = [request(number, target=f"/card/a?ticker={number}") for number in range(1000)]
    struck = {seen.number for seen in requests if when.chance(0.25)(seen)}
    assert 200 < len(struck) < 300
    assert struck == {seen.number for seen in reversed(requests) if when.chance(0.25)(seen)}
    assert struck != {seen.number for seen in requests if when.chance(0.25, seed=1)(seen)}

"""A call is retried as often as its failures allow and no more, and its result is reported exactly once."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import httpcore
import pytest
import trio

from job.day.result import CallResult, ShutdownReason
from job.engines.answers import AnswerError, Response
from job.engines.calls import EngineName
from job.engines.failures import Cause
from job.engines.http import HttpClient, Network
from job.engines.tls import tls_context
from job.execution.progress import CallRetried
from job.telling.failures import reason_of
from job.text.messages import message
from tests.support.fakes import FOREVER, PATIENCE, Asked, Script, Stage, at_once, reply, stage, target, well

pytestmark = pytest.mark.usefixtures("autojump_clock")

DENIED, UNREADABLE = reply({"status": "failed", "message": "no"}), Response(200, b"<html")
Step = Response | Exception | float | None
"""An answer, a failure, an answer that comes after so many seconds, or a good one at once."""


def in_turn(engine: EngineName, *steps: Step) -> Script:
    """Attempts at a call meet these steps one after the other; the last step is repeated."""

    async def answer(asked: Asked) -> Response:
        if asked.engine != engine:
            return await at_once(asked)
        step = steps[min(asked.attempt, len(steps)) - 1]
        await trio.sleep(step if isinstance(step, float) else 0)
        if isinstance(step, Exception):
            raise step
        return step if isinstance(step, Response) else well(asked)

    return answer


async def one_card(*steps: Step, jitter: float = 1.0, **settings: Any) -> Stage:
    """A run of one card, whose tries meet these steps."""
    made = stage([target("A", engines=())], in_turn("qa", *steps), {"qa": settings}, lambda: jitter)
    await made.play()
    return made


def starts(made: Stage) -> list[float]:
    first = made.world.asked[0].time
    return [round(asked.time - first, 6) for asked in made.world.asked]


def the_end(made: Stage) -> CallResult:
    (finished,) = made.world.finished
    return finished


@pytest.mark.parametrize(("asked_for", "waited"), [(0.2, 0.5), (7.0, 7.0), (9999.0, 30.0)])
async def test_retry_after_is_honoured_up_to_the_cap(asked_for: float, waited: float) -> None:
    assert starts(await one_card(reply({}, 503, retry_after=asked_for), None)) == [0.0, waited]


async def test_an_answer_to_the_second_token_does_not_show_the_first() -> None:
    """Both look like no token otherwise, so that only their own masking hides them."""
    tokens = {
        None: "opaque-secret-of-the-first-token",
        "opaque-secret-of-the-first-token": "another-secret-of-the-second",
    }

    async def token(_audience: str, rejected: str | None) -> str:
        await trio.lowlevel.checkpoint()
        return tokens[rejected]

    echo = " ".join(tokens.values())
    made = stage([target("A", engines=())], in_turn("qa", reply({"detail": echo}, 401), reply({"detail": echo}, 400)))
    made.world.token = token
    await made.play()
    shown = [str(event.reason) for event in made.world.events if isinstance(event, CallRetried | CallResult)]
    assert shown[1] == "HTTP 400: [token] [token]"
    assert "first" not in str(the_end(made).reason)


MAY_HAVE_COST = [
    *[DENIED, UNREADABLE, reply({}, 500), reply({}, 501), reply({}, 504)],
    *[AnswerError(message(""), cause) for cause in (Cause.TRANSPORT, Cause.TOO_LARGE)],
]


@pytest.mark.parametrize("step", MAY_HAVE_COST)
async def test_a_card_that_may_have_cost_money_has_its_tries_and_the_last_once_the_patience_is_over(step: Step) -> None:
    begun = {1: [0.0], 2: [0.0, PATIENCE], 3: [0.0, 10.0, PATIENCE], 4: [0.0, 10.0, 50.0, PATIENCE]}
    for attempts, moments in begun.items():
        made = await one_card(step, attempts=attempts)
        assert (starts(made), made.cards.failed) == (moments, 1)
        assert the_end(made).charged_tries == attempts
    made = await one_card(step, attempts=9, patience=220.0, concurrency=16)
    assert starts(made) == [0.0, 10.0, 50.0, 210.0, 270.0], "no wait is longer than the patience and a pause"
    made = await one_card(step, reply({}, 429), reply({}, 409), None)
    assert (made.cards.done, the_end(made).charged_tries) == (1, 1)


@pytest.mark.parametrize("status", [503, 403, 429])
async def test_a_last_try_that_cost_nothing_is_still_to_come_with_patience_anew_once(status: int) -> None:
    made = await one_card(reply({}, 500), *[reply({}, status)] * 7, None, attempts=2)
    assert (made.cards.done, the_end(made).charged_tries) == (1, 1)
    made = await one_card(reply({}, 500), *[reply({}, status)] * 8, None, attempts=2)
    assert made.cards.failed == 1, "the engine has failed"


async def test_a_last_try_that_is_refused_makes_no_other_wait() -> None:
    steps = in_turn("qa", reply({}, 500), reply({}, 400))
    made = stage([target("A", engines=()), target("B", engines=())], steps, {"qa": {"attempts": 2, "concurrency": 1}})
    await made.play()
    assert starts(made) == [0.0, 10.0, PATIENCE, PATIENCE + 10.0]


GOOD = b'HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n{"status": "success"}'
SENT = [
    GOOD.replace(b"success", b"failure"),
    GOOD[:-1],
    GOOD.replace(b"200", b"500"),
    httpcore.ReadError("reset"),
    FOREVER,
]
UNSENT = [httpcore.ConnectError("refused"), httpcore.ConnectTimeout("no answer")]
NO_TOKEN = AnswerError(message("no token"), Cause.IDENTITY)


@pytest.mark.parametrize("step", [*SENT, *UNSENT, NO_TOKEN])
async def test_only_what_was_sent_over_an_open_connection_may_have_been_charged(
    step: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tries of a bad card meet the same nine times."""
    made, begun = stage([target("A", engines=())]), 0

    class Stream(httpcore.AsyncMockStream):
        async def read(self, *given: Any, **named: Any) -> bytes:
            await trio.sleep(step if isinstance(step, float) and begun <= 9 else 0)
            if isinstance(step, Exception) and begun <= 9:
                raise step
            return await super().read(*given, **named)

    async def connect(*_: Any, **__: Any) -> Stream:
        nonlocal begun
        begun += step is not NO_TOKEN
        await trio.lowlevel.checkpoint()
        if step in UNSENT and begun <= 9:
            raise step
        return Stream([step if isinstance(step, bytes) and begun <= 9 else GOOD])

    async def token(_audience: str, _rejected: str | None) -> str:
        nonlocal begun
        begun += step is NO_TOKEN
        await trio.lowlevel.checkpoint()
        if step is NO_TOKEN and begun <= 9:
            raise NO_TOKEN
        return "token"

    monkeypatch.setattr(httpcore.TrioBackend, "connect_tcp", connect)
    made.world.token, network = token, Network(tls_context(None))
    context = replace(made.phases.context, client_of=lambda engine: HttpClient(network, f"http://{engine}"))
    await replace(made.phases, context=context).generate()
    is_sent = step in SENT
    assert the_end(made).done is not is_sent
    assert the_end(made).charged_tries == (3 if is_sent else 0)
    assert the_end(made).tries == begun == (3 if is_sent else 10)


async def test_all_attempts_at_a_call_are_equal_except_for_the_token_which_is_for_the_audience() -> None:
    made = await one_card(reply({}, 500), reply({}, 401), None, audience="https://other.example")
    assert {audience for audience, _ in made.world.tokens_given} == {"https://other.example"}, "not the URL"
    first, *others = [dict(asked.headers) for asked in made.world.asked]
    for other in others:
        assert other | {"Authorization": ""} == first | {"Authorization": ""}
    assert set(first) == {
        "Authorization", "Accept", "Accept-Encoding", "Idempotency-Key", "traceparent", "User-Agent",
    }  # fmt: skip


@pytest.mark.parametrize(("seconds", "ends", "tries"), [(0.25, 0.25, 1), (12.0, 17.0, 2)])
async def test_an_interrupt_after_a_failed_try_counts_as_failed(seconds: float, ends: float, tries: int) -> None:
    made = stage([target("A", engines=())], in_turn("qa", reply({"detail": "x"}, 500), FOREVER))
    await made.play((seconds, ShutdownReason.SIGTERM))
    failure = the_end(made)
    assert (trio.current_time(), failure.tries) == (ends, tries)
    assert str(reason_of(failure)) == "cut off; the try before it failed: HTTP 500: x"
    assert (failure.cause, failure.status, failure.interrupted_after) == (Cause.INTERRUPTED, 500, Cause.STATUS)


async def test_an_attempt_that_never_left_takes_nothing_from_the_one_before() -> None:
    """A card was answered with 401, and the run stops while it waits for its fresh token."""

    async def token(_audience: str, rejected: str | None) -> str:
        await trio.sleep(8.0 if rejected else 0.0)
        return "token"

    async def answer(asked: Asked) -> Response:
        if asked.tickers == ("A",):
            await trio.sleep(1.0)
            return reply({}, 401)
        await trio.sleep_forever()
        raise AssertionError

    made = stage([target(name, engines=()) for name in "AB"], answer, {"qa": {"concurrency": 2}})
    made.world.token = token
    await made.play((5, ShutdownReason.SIGTERM))
    (result,) = (result for result in made.world.finished if result.targets == ("A",))
    (asked,) = (asked for asked in made.world.asked if asked.tickers == ("A",))
    assert (result.started, result.ended) == (asked.time, asked.ended), "those of the attempt that was sent"
    assert (result.tries, result.status, result.cause) == (1, 401, Cause.INTERRUPTED)
    assert CallResult.parse(result.line()) == replace(result, limit=0), "the limit is for the log"


async def test_fetching_a_token_counts_towards_the_timeout_of_the_attempt() -> None:
    async def token(_audience: str, _rejected: str | None) -> str:
        await trio.sleep_forever()
        raise AssertionError

    made = stage([target("A", engines=())], at_once, {"qa": {"timeout": 10.0, "patience": 5.0}}, lambda: 0.0)
    made.world.token = token
    await made.play()
    assert trio.current_time() == pytest.approx(30.0)
    assert made.cards.failed == 1
    assert made.world.asked == []


async def test_retries_are_reported_with_their_wait_and_those_for_room_are_counted_among_them() -> None:
    made = await one_card(reply({}, 429), reply({}, 503), reply({}, 500), reply({}, 429), None)
    waits = [event.wait for event in made.world.events if isinstance(event, CallRetried)]
    assert waits == [after - before for before, after in pairwise(starts(made))] == [0.5, 1.0, 10.0, 20.0]
    assert (the_end(made).retries, the_end(made).waits) == (4, 3)
    totals = made.ledger.totals()["qa"]
    assert (totals.calls, totals.retries, totals.waits) == (1, 4, 3)
    assert made.live.engines["qa"].counts.retries == 4


async def test_only_the_warning_of_the_successful_answer_is_kept() -> None:
    warned = reply({"status": "success", "error": "quota"})
    assert str(the_end(await one_card(DENIED, warned)).warning).endswith("has an error: quota")
    assert the_end(await one_card(DENIED, None)).warning is None
    targets = [target("A", (), ("trading",)), target("B", (), ("trading",))]
    half = {"A": {"status": "success", "error": "late"}, "B": {"status": "failed"}}
    made = stage(targets, in_turn("trading", reply({"results": half}), None))
    await made.play()
    warnings = {event.targets: event.warning for event in made.world.finished if event.engine != "qa"}
    assert str(warnings["A",]).endswith("has an error: A: late")
    assert {event.targets: event.with_error for event in made.world.finished}["A",] == ("A",)
    assert warnings["B",] is None

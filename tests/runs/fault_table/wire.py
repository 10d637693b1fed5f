"""What can be wrong with a connection and with what comes over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.runs.fault_table.row import (
    CARDS,
    PLANNED,
    Arrange,
    Case,
    Env,
    Play,
    Row,
    data_failed,
    missing,
    qa_down,
    strike,
    succeeded,
)
from tests.simulators import broken, do, when
from tests.simulators.engines import steady
from tests.support.runs import asked_cards, data_requests

if TYPE_CHECKING:
    from tests.simulators.job import Outcome
    from tests.simulators.service import Do
    from tests.simulators.world import World

FIRST = when.nth(1)


def _broken(name: str, act: Do, says: str, *, reachable: bool = False) -> tuple[Case, ...]:
    """A fault of the wire, once and for good."""
    return (
        *(succeeded(f"{name}: {e}, once", strike(e, FIRST, act)) for e in ("trading", "qa")),
        data_failed(f"{name}: news, for good", strike("news", when.always, act), says),
        missing(f"{name}: qa, for good", strike("qa", when.always, act), PLANNED, says)
        if reachable
        else qa_down(f"{name}: qa, for good", strike("qa", when.always, act), says),
    )


def _stopped(engine: str) -> Arrange:
    def arrange(world: World) -> Env:
        return {f"{engine.upper()}_ENGINE_URL": "http://127.0.0.1:1"}

    return arrange


def _answered_twice(world: World) -> None:
    for engine in ("financial", "trading", "news", "qa"):
        strike(engine, when.always, broken.surplus(broken.answer(b'{"status": "failed", "error": "of another"}')))(
            world
        )


def _answered_late(world: World) -> None:
    late = broken.surplus(broken.answer(b'{"status": "failed", "error": "of another"}'), after=0.02)
    for engine in ("financial", "trading", "news"):
        strike(engine, when.always, late)(world)


def _a_connection_for_each(world: World, _: Outcome) -> None:
    requests = data_requests(world)
    assert len({(seen.service, seen.connection) for seen in requests}) == len(requests)


def _each_card_once(world: World, _: Outcome) -> None:
    assert len(world.qa.requests) == PLANNED
    assert set(asked_cards(world).values()) == {1}


TWICE = b'{"status": "failed", "status": "success"}'
WARNED = {"status": "success", "error": "quota exceeded, no card"}


def _warned_of(_: World, outcome: Outcome) -> None:
    cards = [line for line in outcome.events("call.finished") if line["engine"] == "qa"]
    assert len(cards) == PLANNED
    for line in cards:
        assert line["severity"] == "WARNING"
        assert line["warning"] == "the answer says success, and has the error: quota exceeded, no card"


def _wrong(name: str, value: object, says: str) -> tuple[Case, ...]:
    """An answer of 200 that says no: asked again, once for cards."""
    return (
        succeeded(f"{name}: news, once", strike("news", FIRST, do.body(value))),
        data_failed(f"{name}: news, for good", strike("news", when.ticker("T3"), do.body(value)), says),
        succeeded(f"{name}: qa, once", strike("qa", FIRST, do.body(value))),
        missing(f"{name}: qa, for good", strike("qa", when.ticker("T3"), do.body(value)), 3, says),
    )


def _and_without(name: str) -> Play:
    """A run fails for this target; a person then goes on without it."""

    async def play(world: World, env: Env) -> Outcome:
        assert (await world.run_job(env=env)).exit_code == 1
        assert not world.qa.requests
        return await world.run_job(("resume", "night", "--without", name), env=env)

    return play


def _cold(world: World) -> Env:
    for name in ("financial", "trading", "news", "qa"):
        strike(name, when.always, do.cold_start(1.2))(world)
    return {f"{name}_ENGINE_TIMEOUT": "4" for name in ("FINANCIAL", "TRADING", "NEWS", "QA")}


def _batch_too_large(world: World) -> Env:
    world.trading.latency = steady(0.05, per_ticker=0.3)
    return {"TRADING_ENGINE_BATCH_SIZE": "10", "TRADING_ENGINE_TIMEOUT": "1.7"}


ROWS = (
    Row(
        "reset",
        "the connection is reset: before, within or after the work",
        "the call is repeated with the same `Idempotency-Key`",
        "nothing, unless it lasts: then the engine crashes, or the network does",
        (
            *_broken("before", broken.reset(), "connection reset"),
            *_broken("after the work", broken.reset_after_work(), "connection reset"),
            *_broken("within the answer", broken.reset_in_body(), "connection"),
        ),
    ),
    Row(
        "half",
        "half an answer, or none",
        "the call is repeated, a card only once after a complete answer of 2xx, as it may have cost tokens",
        "read the engine's own log, then start it again",
        (
            *_broken("cut short", broken.truncated(), "the connection ended"),
            *_broken("empty", do.raw_body(b""), "empty", reachable=True),
            *_broken("HTML", do.html(), "no JSON", reachable=True),
            *_broken("no JSON", do.raw_body(b'{"status": "succ'), "JSON", reachable=True),
        ),
    ),
    Row(
        "surplus",
        "an engine, or a proxy before it, sends more than one answer: a second one, or an extra empty line",
        "nothing: the connection is closed, so that the surplus is not read as the answer to another call; the next "
        "call opens a new one. A data engine's connection serves only one call, so that a late second answer does no "
        "harm either. From the QA engine, a second answer that arrives after the next request was sent is taken for "
        "the answer to that request",
        "nothing",
        (
            succeeded(
                "a second answer: every engine",
                _answered_twice,
                check=_each_card_once,
                env={f"{name}_ENGINE_CONCURRENCY": "1" for name in ("FINANCIAL", "TRADING", "NEWS", "QA")},
            ),
            succeeded(
                "a second answer, late: the data engines",
                _answered_late,
                check=_a_connection_for_each,
                env={f"{name}_ENGINE_CONCURRENCY": "1" for name in ("FINANCIAL", "TRADING", "NEWS")},
            ),
            succeeded(
                "an empty line: qa",
                strike("qa", when.always, broken.surplus(b"\r\n")),
                check=_each_card_once,
                env={"QA_ENGINE_CONCURRENCY": "1"},
            ),
        ),
    ),
    Row(
        "no",
        "an answer of 200 that reports a failure: `null`, `failed`, `results` without a ticker",
        "the call is repeated, a card only once as it costs tokens; a data engine's failure ends the run",
        "read the engine's answer in the error, and the engine's own log; then start it again",
        (
            *_wrong("null", None, "the answer is null"),
            data_failed("null: financial", strike("financial", when.always, do.body(None)), "the answer is null"),
            data_failed("null: trading", strike("trading", when.always, do.body(None)), "the answer is null"),
            *_wrong("failed", {"status": "failed", "error": "the model refused"}, "the model refused"),
            succeeded("results lack a ticker, once", strike("trading", FIRST, do.lacking("T1"))),
            data_failed("results lack a ticker, for good", strike("trading", when.always, do.lacking("T1")), "T1"),
            data_failed("a ticker failed for good", strike("trading", when.always, do.failing("T1")), "T1"),
            data_failed("results are a list", strike("trading", when.always, do.body({"results": []})), "trading"),
            data_failed("financial says error", strike("financial", when.always, do.body({"error": "x"})), "financial"),
        ),
    ),
    Row(
        "twice",
        "an answer in which a key is there twice",
        "the call is repeated, a card only once: it is unknown which of the two values is right",
        "read the engine's answer in the error, and the engine's own log; then start it again",
        (
            *(succeeded(f"{engine}, once", strike(engine, FIRST, do.raw_body(TWICE))) for engine in ("news", "qa")),
            data_failed("news, for good", strike("news", when.ticker("T3"), do.raw_body(TWICE)), "is there twice"),
            missing("qa, for good", strike("qa", when.ticker("T3"), do.raw_body(TWICE)), 3, "is there twice"),
        ),
    ),
    Row(
        "success with an error",
        "an answer of 200 that says `success`, and has an `error`",
        "the work is done, as the engine says; a warning in the log and on the page names the error",
        "look at what was made; read the engine's own log",
        (succeeded("qa, always", strike("qa", when.always, do.body(WARNED)), check=_warned_of),),
    ),
    Row(
        "skipped",
        "the news engine found nothing for the day",
        "no failure: the cards are made",
        "nothing",
        (succeeded("always", strike("news", when.always, do.skipped())),),
    ),
    Row(
        "poison",
        "one ticker makes the engine fail for its whole batch",
        "the batch is repeated in halves, and the error names that ticker alone; report, page and message have the "
        "command that goes on without it",
        "correct or remove the ticker, then start it again; or `resume RUN_ID --without TICKER`: all other cards are "
        "made",
        (
            data_failed(
                "500",
                strike("financial", when.ticker("T7"), do.status(500)),
                "the financial engine failed for T7 after",
            ),
            data_failed(
                "reset", strike("trading", when.ticker("T7"), broken.reset()), "the trading engine failed for T7 after"
            ),
            Case(
                "and without it",
                "succeeded",
                0,
                strike("financial", when.ticker("T7"), do.status(500)),
                (PLANNED - len(CARDS), 0, 0, 0),
                "Left out by hand: T7.",
                _and_without("T7"),
                left_out=["T7"],
            ),
        ),
    ),
    Row(
        "large batch",
        "a batch takes longer than the engine's timeout allows",
        "it is repeated in halves; later batches are smaller from the start",
        "lower `…_ENGINE_BATCH_SIZE` to save the first try",
        (succeeded("10 tickers where 5 fit", _batch_too_large),),
    ),
    Row(
        "slow start",
        "an engine starts slowly",
        "the first calls take longer; they are repeated if the start outlasts the timeout",
        "nothing; set a minimum of instances if it takes too long",
        (succeeded("within the timeout", _cold),),
    ),
    Row(
        "hang",
        "an engine does not answer, or never ends its answer",
        "the attempt ends after `…_ENGINE_TIMEOUT` and is repeated; an answer of more than 1 MiB is cut off and not "
        "requested again, but a batch in halves",
        "read the engine's own log; raise the timeout if the work really takes longer; then start it again",
        (
            succeeded("once", strike("qa", FIRST, do.hang())),
            data_failed("for good", strike("news", when.ticker("T3"), do.hang()), "no answer within 1.5 s"),
            missing("a trickle", strike("qa", when.ticker("T3"), broken.trickle(0.4)), 3, "no answer within 1.5 s"),
            missing("an endless body", strike("qa", when.ticker("T3"), broken.endless_body()), 3, "larger than 1 MiB"),
            data_failed("100 MB", strike("trading", when.ticker("T3"), broken.huge()), "larger than 1 MiB"),
            missing("an endless header", strike("qa", when.ticker("T3"), broken.endless_header()), 3, "not HTTP"),
        ),
    ),
    Row(
        "not there",
        "the host is not known, refuses the connection, or has a bad certificate",
        "the call is repeated, then it has failed; the error says which of these it is",
        "correct `…_ENGINE_URL`; look at DNS and network; then start it again",
        (
            data_failed(
                "unknown host", lambda _world: {"NEWS_ENGINE_URL": "https://news.invalid"}, "host is not known"
            ),
            data_failed("refused", _stopped("trading"), "connection refused"),
            qa_down("refused by qa", _stopped("qa"), "connection refused"),
            data_failed("TLS", lambda world: {"NEWS_ENGINE_URL": world.news.url.replace("http:", "https:")}, "TLS: "),
            data_failed("bad certificate", lambda _world: {"SSL_CERT_FILE": None}, "certificate", tls=True),
        ),
    ),
)

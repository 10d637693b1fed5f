"""What can be wrong with a connection and with what comes over it."""

from tests.runs.fault_table.row import (
    MANY,
    Row,
    data_failed,
    missing,
    qa_down,
    strike,
    succeeded,
)
from tests.simulators import broken, do, when
from tests.simulators.job import Outcome
from tests.simulators.world import World
from tests.support.runs import asked_cards

REFUSED = {"status": "failed", "error": "no credit"}


def _asked_thrice(world: World, _: Outcome) -> None:
    """A card may cost tokens each time."""
    assert {count for (ticker, _), count in asked_cards(world).items() if ticker == "T3"} == {3}


ROWS = (
    Row(
        "reset",
        "the connection is reset, or ends before the answer does",
        "The call is repeated with the same `Idempotency-Key`.",
        "If it lasts, look at the engine and the network.",
        (
            succeeded("reset after the work, once", strike("trading", when.nth(1), broken.reset_after_work())),
            qa_down(
                "cut short, for good",
                strike("qa", when.always, broken.truncated()),
                "the connection ended",
                tickers=MANY,
            ),
        ),
    ),
    Row(
        "no",
        "an answer of 200 that reports a failure, or that cannot be read",
        "The call is repeated, but only for a minute if a data engine says that it failed. If a data engine's call "
        "fails for good, the start ends.",
        "Read the answer, which the error quotes, and the engine's log.",
        (missing("failed", strike("qa", when.ticker("T3"), do.body(REFUSED)), 3, "no credit", check=_asked_thrice),),
    ),
    Row(
        "success with an error",
        "an answer of 200 that says `success` and has an `error`",
        "The work counts as done. Headline and message warn of it and name the cards; the page quotes the first error.",
        "Look at what was made, and read the engine's log.",
    ),
    Row(
        "skipped",
        "the news engine finds nothing for the day, as on a holiday",
        "Nothing, if the QA engine makes the cards without articles.",
        "Nothing. If QA refuses them, ask its owner, or switch the news engine off for these targets.",
    ),
    Row(
        "poison",
        "one ticker makes the engine fail for its whole batch",
        "The batch is halved until that ticker is alone; it fails once the patience is over. Page and message have "
        "the command that goes on without it.",
        "Correct or remove the ticker, or use that command, `run --without TICKER`.",
    ),
    Row(
        "hang",
        "an engine does not answer in time, or never ends its answer",
        "The try ends after `…_ENGINE_TIMEOUT`, or at 1 MiB of an answer, and the call is repeated.",
        "Read the engine's log. If the work really takes longer, raise the timeout or lower `…_ENGINE_BATCH_SIZE`.",
        (
            data_failed("for good", strike("news", when.ticker("T3"), do.hang()), "no answer within 1.5 s"),
            missing("a trickle", strike("qa", when.ticker("T3"), broken.trickle(0.4)), 3, "no answer within 1.5 s"),
            missing("an endless body", strike("qa", when.ticker("T3"), broken.endless_body()), 3, "larger than 1 MiB"),
        ),
    ),
    Row(
        "not there",
        "the host is not known, refuses the connection, or has a bad certificate",
        "The engine is out. The error says which of the three it is.",
        "Correct `…_ENGINE_URL`. Check DNS and network.",
        (data_failed("refused", lambda _world: {"TRADING_ENGINE_URL": "http://127.0.0.1:1"}, "connection refused"),),
    ),
)

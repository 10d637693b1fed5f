"""Every status of the platform's table, from data engines and from QA: at first, in the middle, for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.runs.fault_table.row import (
    CARDS,
    PLANNED,
    Arrange,
    Case,
    Row,
    data_failed,
    missing,
    qa_down,
    strike,
    succeeded,
)
from tests.simulators import broken, do, when

if TYPE_CHECKING:
    from tests.simulators.job import Outcome
    from tests.simulators.world import World

FIRST, MIDDLE = when.nth(1), when.nth(4)
MANY = tuple(f"T{number}" for number in range(50))


def _passing(status: int) -> tuple[Case, ...]:
    """Cases of a status that is asked again."""
    act, says = do.status(status), f"HTTP {status}"
    return (
        *(succeeded(f"{status}: {e}, first call", strike(e, FIRST, act)) for e in ("trading", "news", "qa")),
        succeeded(f"{status}: trading, in the middle", strike("trading", MIDDLE, act)),
        succeeded(f"{status}: qa, in the middle", strike("qa", MIDDLE, act)),
        *(
            data_failed(f"{status}: {e}, for good", strike(e, when.always, act), f"HTTP {status}")
            for e in ("financial", "news")
        ),
        qa_down(f"{status}: qa, for good", strike("qa", when.always, act), says),
    )


def _final(status: int, *, down: bool = False) -> tuple[Case, ...]:
    """Cases of a status that is not asked again."""
    act, says = do.status(status), f"HTTP {status}"
    _name, for_good = f"{status}: qa, for good", strike("qa", when.always, act)
    return (
        data_failed(f"{status}: news, first call", strike("news", FIRST, act), says),
        data_failed(f"{status}: trading, in the middle", strike("trading", MIDDLE, act), says),
        missing(f"{status}: qa, first call", strike("qa", FIRST, act), 1, says),
        missing(f"{status}: qa, in the middle", strike("qa", when.nth(12), act), 1, says),
        qa_down(f"{status}: qa, for good", for_good, says)
        if down
        else missing(f"{status}: qa, for good", for_good, PLANNED, says),
    )


def _unknown_token() -> tuple[Case, ...]:
    status, act = 401, do.status(401)
    return (
        *(succeeded(f"{status}: {e}, first call", strike(e, FIRST, act)) for e in ("news", "qa")),
        succeeded(f"{status}: qa, in the middle", strike("qa", when.nth(12), act)),
        data_failed(f"{status}: trading, for good", strike("trading", when.always, act), "HTTP 401"),
        qa_down(f"{status}: qa, for good", strike("qa", when.always, act), "HTTP 401"),
    )


def _set_aside(name: object, arrange: Arrange) -> Case:
    return Case(
        f"{name}", "cards_missing", 3, arrange, says="Card type risk_card is set aside", tickers=MANY, check=_made
    )


def _made(_: World, outcome: Outcome) -> None:
    cards = outcome.finished["cards"]
    assert cards["generated"] == len(MANY) * (len(CARDS) - 1)
    assert 20 <= cards["failed"] <= 20 + 16, "those in flight are awaited"
    assert outcome.finished["set_aside"] == ["risk_card"]


ROWS = (
    Row(
        "400 422",
        "400 or 422: the engine does not accept the request",
        "the call is not repeated; a data engine's failure ends the run, a card is missing",
        "correct dates, ids or `extra_params` in the config, then start it again",
        (*_final(400), *_final(422)),
    ),
    Row(
        "401",
        "401: the engine does not accept the token",
        "one more attempt with a fresh token; then the call has failed",
        "`python -m job check`; compare `…_ENGINE_AUDIENCE` with the service's URL and custom audiences; then "
        "start it again",
        _unknown_token(),
    ),
    Row(
        "403",
        "403: the job's account may not call the engine",
        "the call is not repeated; if the QA engine refuses everything, the run stops requesting cards",
        "give the account `roles/run.invoker` on that service, then start it again",
        _final(403, down=True),
    ),
    Row(
        "404",
        "404: the URL is wrong, or the service's ingress does not allow it",
        "the call is not repeated",
        "correct `…_ENGINE_URL`, or the ingress; then start it again",
        _final(404),
    ),
    Row(
        "redirect",
        "a redirect",
        "the call is not repeated, and the token goes nowhere else",
        "set `…_ENGINE_URL` to where the service is, then start it again",
        (
            data_failed(
                "news", lambda world: strike("news", FIRST, do.redirect(world.elsewhere.url))(world), "HTTP 302"
            ),
            missing("qa", lambda world: strike("qa", FIRST, do.redirect(world.elsewhere.url))(world), 1, "HTTP 302"),
        ),
    ),
    Row(
        "429",
        "429: no instance is free",
        "fewer calls in flight and longer waits, up to the engine's timeout; no attempt is used up",
        "raise the service's maximum of instances, or lower `…_ENGINE_CONCURRENCY`; then start it again",
        _passing(429),
    ),
    Row(
        "500",
        "500 or 502: the engine failed",
        "the call is repeated up to `…_ENGINE_ATTEMPTS`, a batch in halves, so that the one ticker at fault is named",
        "read the engine's own log: the call's `traceparent` leads there, then start it again",
        (*_passing(500), *_passing(502)),
    ),
    Row(
        "503",
        "503: the engine is overloaded, out of memory or not there",
        "as for 500, with half as many calls in flight; after 20 failed cards in a row, the run stops requesting cards",
        "look at the service; then start it again",
        _passing(503),
    ),
    Row(
        "card type",
        "the QA engine always fails for one card type",
        "after 20 failed cards of that type in a row its rest is not requested; all other cards are made",
        "read the QA engine's own log, then start it again",
        (
            *(_set_aside(status, strike("qa", when.card("risk_card"), do.status(status))) for status in (500, 403)),
            _set_aside("reset", strike("qa", when.card("risk_card"), broken.reset())),
        ),
    ),
    Row(
        "504",
        "504: the request timed out, and the engine works on",
        "as for 503; a batch that is too large for the service's timeout is split until it fits",
        "raise the service's timeout, or lower `…_ENGINE_BATCH_SIZE`; then start it again",
        _passing(504),
    ),
)

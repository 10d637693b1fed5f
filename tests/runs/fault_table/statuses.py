"""The statuses of the platform, from data engines and from QA: once, and for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.runs.fault_table.row import CARDS, PLANNED, Case, Row, data_failed, missing, qa_down, strike, succeeded
from tests.simulators import broken, do, when
from tests.simulators.engines import steady

if TYPE_CHECKING:
    from tests.runs.fault_table.row import Arrange
    from tests.simulators.job import Outcome
    from tests.simulators.service import Do
    from tests.simulators.when import When
    from tests.simulators.world import World

FIRST = when.nth(1)
MANY = tuple(f"T{number}" for number in range(50))


def _final(status: int) -> Case:
    """A data engine's status after which a call is not repeated."""
    return data_failed(f"{status}: trading", strike("trading", when.nth(4), do.status(status)), f"HTTP {status}")


def _passing(status: int) -> tuple[Case, ...]:
    """A status after which a call is repeated: once, and for good."""
    act = do.status(status)
    return (
        succeeded(f"{status}: qa, once", strike("qa", FIRST, act)),
        data_failed(f"{status}: news, for good", strike("news", when.always, act), f"HTTP {status}"),
    )


def _down(status: int) -> Case:
    return qa_down(f"{status}: qa, for good", strike("qa", when.always, do.status(status)), f"HTTP {status}")


def _set_aside(name: str, act: Do) -> Case:
    says = "Card type risk_card is set aside"
    failing = strike("qa", when.card("risk_card"), act)
    return Case(name, "cards_missing", 3, failing, says=says, tickers=MANY, check=_made)


def _made(_: World, outcome: Outcome) -> None:
    cards = outcome.finished["cards"]
    assert cards["done"] == len(MANY) * (len(CARDS) - 1)
    assert 20 <= cards["failed"] <= 20 + 16, "those in flight are awaited"


def _tokens(condition: When, act: Do) -> Arrange:
    """A fault of the token server only, not of its other answers."""

    def arrange(world: World) -> None:
        strike("metadata", lambda seen: seen.path.endswith("/identity") and condition(seen), act)(world)

    return arrange


def _foreign(world: World) -> None:
    world.tokens.foreign_audience = "https://another-service.run.app"


def _short(world: World) -> None:
    """Tokens are good for a second and a half by the engines' clock, and google-auth renews at every call."""
    world.tokens.lifetime = 1.5
    world.tokens.cached_until = 0.7
    world.qa.latency = steady(0.3)


def _redirected(engine: str) -> Arrange:
    return lambda world: strike(engine, FIRST, do.redirect(world.elsewhere.url))(world)


# google-auth itself asks again for some seconds before it says that there is no token.
OPAQUE = do.raw_body(b"ya29-opaque", "text/plain")

ROWS = (
    Row(
        "400",
        "400 or 422: the engine does not accept the request",
        "the call is not repeated; a data engine's failure ends the attempt, a card is missing",
        "correct dates, ids or `extra_params` in the config, then start it again",
        (
            _final(422),
            missing("422: qa, once", strike("qa", when.nth(12), do.status(422)), 1, "HTTP 422"),
            missing("422: qa, for good", strike("qa", when.always, do.status(422)), PLANNED, "HTTP 422"),
        ),
    ),
    Row(
        "401",
        "401: the engine does not accept the token",
        "one more try with a fresh token; then the call has failed",
        "`python -m job check`; compare `…_ENGINE_AUDIENCE` with the service's URL and custom audiences, and look at "
        "the machine's clock; then start it again",
        (
            succeeded("qa, once", strike("qa", FIRST, do.status(401))),
            _down(401),
            data_failed("for another service", _foreign, "HTTP 401"),
            succeeded("expires every second", _short, place="process"),
        ),
    ),
    Row(
        "no token",
        "the token server is down or slow, or answers with no ID token",
        "the call is repeated, up to `…_ENGINE_ATTEMPTS`; the error does not quote the answer, which may be a secret",
        "nothing, unless it lasts: then look at the metadata server, or the key file, and start it again",
        (
            data_failed("refused", _tokens(when.always, do.status(404)), "no token for", place="process"),
            succeeded("flapping", _tokens(when.every(2), do.status(500)), seconds=60.0, place="process"),
            succeeded("odd, once", _tokens(FIRST, OPAQUE), place="process"),
            data_failed("odd, for good", _tokens(when.always, OPAQUE), "answer is not a token", place="process"),
        ),
    ),
    Row(
        "403",
        "403: the job's account may not call the engine",
        "the call is not repeated; if the QA engine refuses everything, no further card is requested",
        "give the account `roles/run.invoker` on that service, then start it again",
        (_final(403), _down(403)),
    ),
    Row(
        "404",
        "404 or a redirect: the URL is wrong, or the service's ingress does not allow the call",
        "the call is not repeated, and the token goes nowhere else",
        "correct `…_ENGINE_URL`, or the ingress; if the engine does other targets, correct this one in the config; "
        "then start it again",
        (
            missing("qa: 404", strike("qa", FIRST, do.status(404)), 1, "HTTP 404"),
            data_failed("news: 302", _redirected("news"), "HTTP 302"),
        ),
    ),
    Row(
        "429",
        "429: no instance is free",
        "fewer calls in flight and longer waits, up to the engine's timeout; no try is used up",
        "raise the service's maximum of instances, or lower `…_ENGINE_CONCURRENCY`; then start it again",
        _passing(429),
    ),
    Row(
        "500",
        "500 or 502: the engine failed",
        "the call is repeated up to `…_ENGINE_ATTEMPTS`, a batch in halves, so that the one ticker at fault is named",
        "read the engine's own log: the call's `traceparent` leads there; then start it again",
        _passing(500),
    ),
    Row(
        "503",
        "503 or 504: the engine is overloaded, out of memory or not there, or its request timed out",
        "as for 500, with half as many calls in flight; after 20 failed cards in a row no further one is requested",
        "look at the service; raise its timeout, or lower `…_ENGINE_BATCH_SIZE`; then start it again",
        (
            *_passing(503),
            _down(503),
            succeeded("504: financial, once", strike("financial", FIRST, do.late_status(504))),
        ),
    ),
    Row(
        "card type",
        "the QA engine always fails for one card type",
        "after 20 failed cards of that type in a row its rest is not requested; all other cards are made",
        "read the QA engine's own log, then start it again",
        (_set_aside("500", do.status(500)), _set_aside("reset", broken.reset())),
    ),
)

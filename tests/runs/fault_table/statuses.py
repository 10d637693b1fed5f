"""The statuses of the platform, from data engines and from QA: once, and for good."""

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
from tests.simulators.engines import steady
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


def _bad_type(name: str, act: Do) -> Case:
    failing = strike("qa", when.card("risk_card"), act)
    return Case(name, "cards_missing", 3, failing, says="50 of 150 cards are missing", tickers=MANY, check=_made)


def _made(_: World, outcome: Outcome) -> None:
    cards = outcome.finished["cards"]
    assert cards["done"] == len(MANY) * (len(CARDS) - 1)
    assert cards["failed"] <= 16


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
        "The call is not repeated. If a data engine refuses, the start ends; if QA does, that card is missing.",
        "Correct dates, ids or `extra_params` in the config.",
        (
            _final(422),
            missing("422: qa, once", strike("qa", when.nth(12), do.status(422)), 1, "HTTP 422"),
            missing("422: qa, for good", strike("qa", when.always, do.status(422)), PLANNED, "HTTP 422"),
        ),
    ),
    Row(
        "401",
        "401: the engine does not accept the token",
        "One more try follows at once, with a fresh token. Then it is an outage.",
        "Run `python -m job check`. Compare `…_ENGINE_AUDIENCE` with the service's URL and custom audiences, and "
        "check the clock.",
        (
            succeeded("qa, once", strike("qa", FIRST, do.status(401))),
            _down(401),
            data_failed("for another service", _foreign, "HTTP 401"),
            succeeded("expires every second", _short, place="process"),
        ),
    ),
    Row(
        "no token",
        "the token server is down or slow, or its answer is no ID token",
        "It is an outage, but an answer that is no token fails after a minute. The error does not quote that "
        "answer, which may be a secret.",
        "Nothing, unless it lasts: then look at the metadata server or the key file.",
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
        "It is an outage, because a new right may take some minutes to arrive.",
        "Give the account `roles/run.invoker` on that service.",
        (*_passing(403), _down(403)),
    ),
    Row(
        "404",
        "404 or a redirect: the URL is wrong, or the service's ingress does not allow the call",
        "The call is not repeated, and the token goes nowhere else.",
        "Correct `…_ENGINE_URL` or the ingress. If other targets succeed, correct this one in the config.",
        (
            missing("qa: 404", strike("qa", FIRST, do.status(404)), 1, "HTTP 404"),
            data_failed("news: 302", _redirected("news"), "HTTP 302"),
        ),
    ),
    Row(
        "429",
        "429: no instance is free. 409: an earlier try is still at work",
        "Fewer calls are in flight. If none of them is done, it is an outage.",
        "Raise the service's maximum of instances, or lower `…_ENGINE_CONCURRENCY`.",
        (*_passing(429), *_passing(409)),
    ),
    Row(
        "500",
        "500 or 502: the engine failed",
        "The call is repeated.",
        "Read the engine's log, to which the call's `traceparent` leads.",
        _passing(500),
    ),
    Row(
        "503",
        "503 or 504: the engine is overloaded or gone, or its request timed out",
        "The call is repeated, with fewer calls in flight.",
        "Look at the service. Raise its timeout, or lower `…_ENGINE_BATCH_SIZE`.",
        (
            *_passing(503),
            _down(503),
            succeeded("504: financial, once", strike("financial", FIRST, do.late_status(504))),
        ),
    ),
    Row(
        "card type",
        "QA fails for every card of one type",
        "All other cards are made. Once nothing else is left and the patience is over, the rest of this type is not"
        " requested.",
        "Read the QA engine's log.",
        (_bad_type("500", do.status(500)), _bad_type("reset", broken.reset())),
    ),
)

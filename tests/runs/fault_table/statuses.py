"""The statuses of the platform, from data engines and from QA: once, and for good."""

from tests.runs.fault_table.row import MANY, PLANNED, Case, Row, data_failed, missing, qa_down, strike, succeeded
from tests.simulators import do, when
from tests.simulators.world import World

FIRST = when.nth(1)


def _once(status: int) -> Case:
    """A status after which a call is repeated."""
    return succeeded(f"{status}, once", strike("qa", FIRST, do.status(status)))


def _redirected(world: World) -> None:
    strike("news", FIRST, do.redirect(world.elsewhere.url))(world)


ROWS = (
    Row(
        "400",
        "400 or 422: the engine does not accept the request",
        "The call is not repeated. If a data engine refuses, the start ends; if QA does, that card is missing.",
        "Correct dates, ids or `extra_params` in the config.",
        (
            data_failed("trading, once", strike("trading", when.nth(4), do.status(422)), "HTTP 422"),
            missing("qa, for good", strike("qa", when.always, do.status(422)), PLANNED, "HTTP 422"),
        ),
    ),
    Row(
        "401",
        "401: the engine does not accept the token",
        "The next try has a fresh token. If that fails too, the engine is out.",
        "Run `python -m job check`. Compare `…_ENGINE_AUDIENCE` with the service's URL and custom audiences, and "
        "check the clock.",
        (_once(401), qa_down("for good", strike("qa", when.always, do.status(401)), "HTTP 401", tickers=MANY)),
    ),
    Row(
        "no token",
        "the token server is down or slow, or its answer is no ID token",
        "The engine is out. If the answer is no token, the call fails after a minute; the error does not quote it, "
        "because it may be a secret.",
        "If it lasts, look at the metadata server or the key file.",
    ),
    Row(
        "403",
        "403: the job's account may not call the engine",
        "It counts as an outage, because a new right may take some minutes to arrive.",
        "Give the account `roles/run.invoker` on that service.",
        (_once(403),),
    ),
    Row(
        "404",
        "404 or a redirect: the URL is wrong, or the service's ingress does not allow the call",
        "The call is not repeated, and the token is sent nowhere else.",
        "Correct `…_ENGINE_URL` or the ingress. If other targets succeed, correct this one in the config.",
        (
            missing("qa: 404", strike("qa", FIRST, do.status(404)), 1, "HTTP 404"),
            data_failed("news: 302", _redirected, "HTTP 302"),
        ),
    ),
    Row(
        "429",
        "429: no instance is free. 409: an earlier try is still at work",
        "After a 429, fewer calls are in flight; if none of them is done, the engine is out. After a 409, the call is "
        "repeated.",
        "Raise the service's maximum of instances, or lower `…_ENGINE_CONCURRENCY`.",
        (_once(429), _once(409)),
    ),
    Row(
        "500",
        "500 or 502: the engine failed",
        "The call is repeated.",
        "Search the engine's log for the trace id.",
        (_once(500),),
    ),
    Row(
        "503",
        "503 or 504: the engine is overloaded or gone, or its own timeout has passed",
        "The call is repeated, with fewer calls in flight.",
        "Look at the service. Raise its timeout, or lower `…_ENGINE_BATCH_SIZE`.",
        (
            data_failed("news, for good", strike("news", when.always, do.status(503)), "HTTP 503"),
            succeeded("504: financial, once", strike("financial", FIRST, do.late_status(504))),
        ),
    ),
    Row(
        "card type",
        "QA fails for every card of one type",
        "All other cards are made. Once nothing else is left and the patience is over, the rest of this type is not"
        " requested.",
        "Read the QA engine's log.",
    ),
)

"""What can be wrong with the tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.runs.fault_table.row import Arrange, Row, data_failed, succeeded
from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.service import Fault

if TYPE_CHECKING:
    from tests.simulators.service import Do
    from tests.simulators.when import When
    from tests.simulators.world import World


TWICE = {"TIMEOUT": "60", "ATTEMPTS": "2"}


def _tokens(condition: When, act: Do) -> Arrange:
    """A fault of the token server only, not of its other answers."""

    def arrange(world: World) -> None:
        world.metadata.script.append(Fault(lambda seen: seen.path.endswith("/identity") and condition(seen), act))

    return arrange


# google-auth itself asks again for some seconds before it says that there is no token.
PATIENT = {f"{name}_ENGINE_{what}": value for name in ("FINANCIAL", "TRADING", "NEWS") for what, value in TWICE.items()}


def _foreign(world: World) -> None:
    world.tokens.foreign_audience = "https://another-service.run.app"


def _expired(world: World) -> None:
    world.tokens.lifetime = -10


def _short(world: World) -> None:
    """Tokens are good for a second and a half by the engines' clock, and google-auth renews at every call."""
    world.tokens.lifetime = 1.5
    world.tokens.cached_until = 0.7
    world.qa.latency = steady(0.3)


ROWS = (
    Row(
        "token server",
        "the token server is down, slow or flapping",
        "calls wait for their token and are repeated, up to the attempts",
        "nothing, unless it lasts: then look at the metadata server, or the key file",
        (
            data_failed("down", _tokens(when.always, do.status(503)), "no token for", env=PATIENT, seconds=90.0),
            data_failed("hangs", _tokens(when.always, do.hang()), "no answer within 1.5 s", seconds=60.0),
            succeeded("slow", _tokens(when.always, do.slow(0.5))),
            succeeded("flapping", _tokens(when.every(2), do.status(500)), seconds=60.0),
        ),
    ),
    Row(
        "no token",
        "the token server answers with something that is not an ID token",
        "the call is repeated, up to the attempts; the error does not quote the answer, which may be a secret",
        "look at what answers as the metadata server, or at the key file; then start it again",
        (
            succeeded("once", _tokens(when.nth(1), do.raw_body(b"ya29-opaque", "text/plain"))),
            data_failed(
                "for good", _tokens(when.always, do.raw_body(b"ya29-opaque", "text/plain")), "answer is not a token"
            ),
        ),
    ),
    Row(
        "foreign token",
        "the token is expired, or for another service",
        "401, one more attempt with a fresh token, 401: the call has failed",
        "compare `…_ENGINE_AUDIENCE` with the service; look at the machine's clock; then start it again",
        (
            data_failed("foreign", _foreign, "HTTP 401"),
            data_failed("expired", _expired, "HTTP 401"),
        ),
    ),
    Row(
        "expiring token",
        "tokens expire in mid-run",
        "nothing: they are renewed before they expire, and once more if an engine answers 401",
        "nothing",
        (succeeded("every second", _short),),
    ),
)

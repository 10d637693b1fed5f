"""Whether a run could start: config, tokens, and each engine's health. Changes nothing anywhere."""

import ssl
from collections.abc import Callable
from functools import partial

import trio
from pydantic_core import from_json

from job.answers import excerpt
from job.connection import Connection, TransportError, tls_context
from job.engines import EngineName
from job.exits import Exit
from job.faults import ConfigError, Fault
from job.identity import IdentityError, Tokens
from job.prepare import prepare
from job.settings import EngineSettings, Settings
from job.trace import USER_AGENT

PATIENCE_SECONDS = 30.0
"""For one engine: a cold start is among what `/health` may have to wait for."""


async def check(settings: Settings, faults: list[Fault], say: Callable[[str], None]) -> Exit:
    """Says what is in order and what is not, a line each."""
    try:
        prepared = await prepare(settings, faults)
    except ConfigError as error:
        for fault in error.faults:
            say(f"✗ {fault}")
        return Exit.USAGE  # noqa: ASYNC910  prepare() was awaited
    for notice in prepared.notices:
        say(f"! {notice}")
    plan = prepared.plan
    say(f"✓ config: {len(plan.targets)} targets, {plan.count('qa')} cards")
    wrong: dict[str, str | None] = {}
    tls = tls_context()
    async with trio.open_nursery() as helpers:
        tokens = Tokens(helpers, settings.impersonate)
        async with trio.open_nursery() as nursery:
            for name in plan.engines():
                nursery.start_soon(partial(_examine, name, settings.engines[name], tokens, tls, wrong))
        helpers.cancel_scope.cancel()
    for name in plan.engines():
        say(f"✗ {name}: {wrong[name]}" if wrong[name] else f"✓ {name}: {settings.engines[name].url} is healthy")
    return Exit.ENGINE_FAILED if any(wrong.values()) else Exit.DONE


async def _examine(
    name: EngineName, engine: EngineSettings, tokens: Tokens, tls: ssl.SSLContext, wrong: dict[str, str | None]
) -> None:
    wrong[name] = f"{engine.url}: no answer within {PATIENCE_SECONDS:.0f} s"
    connection = Connection(tls)
    with trio.move_on_after(PATIENCE_SECONDS):  # noqa: ASYNC912  both branches await the network
        try:
            token = await tokens.get(engine.audience or "")
            headers = {"Authorization": f"Bearer {token}", "User-Agent": USER_AGENT}
            reply = await connection.exchange("GET", f"{engine.url}/health", headers, None)
        except IdentityError as error:
            wrong[name] = f"{error}; run where there is a service account, or set IMPERSONATE_SERVICE_ACCOUNT"
        except TransportError as error:
            wrong[name] = f"{engine.url}: {error}"
        else:
            wrong[name] = _unhealthy(reply.status, reply.body, engine)
    await connection.aclose()


_REMEDIES = {
    401: "the audience is wrong: set it to the service's own URL",
    403: "grant roles/run.invoker on the service to the job's account",
    404: "the URL is wrong, or the service's ingress does not allow the call",
}


def _unhealthy(status: int, body: bytes, engine: EngineSettings) -> str | None:
    if status == 200:
        # Whatever answers at a wrong URL may do so with 200: a login page, another service.
        return None if _says_ok(body) else f"{engine.url}/health: not the answer of an engine: {excerpt(body)}"
    remedy = _REMEDIES.get(status)
    return f"{engine.url}/health: HTTP {status}" + (f"; {remedy}" if remedy else f": {excerpt(body)}")


def _says_ok(body: bytes) -> bool:
    try:
        answer = from_json(body)
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.get("status") == "ok"

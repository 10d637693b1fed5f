"""Health: checks that an engine can be reached and is healthy."""

from contextlib import suppress

import trio

from job.engines.answers import AnswerError, Connection, Response, account_in, parse_answer
from job.engines.calls import EngineName
from job.engines.failures import Cause, remedy_of
from job.engines.id_tokens import IdTokens
from job.engines.identity import USER_AGENT
from job.text.shown import excerpt

PATIENCE_SECONDS = 30.0


async def health_problem(
    engine: EngineName, url: str, audience: str, connection: Connection, tokens: IdTokens
) -> str | None:
    """Why the engine at `url` cannot be used, with the remedy; `None` if it is healthy. Closes the connection."""
    wrong: str | None = f"{url}: no answer within {PATIENCE_SECONDS:.0f} s"
    with trio.move_on_after(PATIENCE_SECONDS):
        try:
            token = await tokens.get(audience)
            headers = {"Authorization": f"Bearer {token}", "User-Agent": USER_AGENT}
            reply = await connection.request("GET", "/health", headers, None)
        except AnswerError as error:
            remedy = remedy_of(engine, error.cause, None)
            wrong = f"{url}: {error.reason}" + (f". {remedy}" if remedy else "")
            if error.cause in {Cause.IDENTITY, Cause.TOKEN_SERVER}:
                wrong = f"{error.reason}; run where there is a service account, or set IMPERSONATE_SERVICE_ACCOUNT"
        else:
            wrong = _unhealthy(engine, reply, token, url)
    await connection.aclose()
    return wrong


def _unhealthy(engine: EngineName, response: Response, token: str, url: str) -> str | None:
    shown = excerpt(response.body, token)
    if response.status == 200:
        # At a wrong URL something else may answer 200: a login page, another service.
        return None if _says_ok(response.body) else f"{url}/health: not the answer of an engine: {shown}"
    remedy = remedy_of(engine, Cause.STATUS, response.status, url=url, account=account_in(token))
    answer = f"HTTP {response.status}" + (f": {shown}" if shown else "")
    return f"{url}/health: {answer}" + (f". {remedy}" if remedy else "")


def _says_ok(body: bytes) -> bool:
    with suppress(ValueError):
        answer = parse_answer(body)
        return isinstance(answer, dict) and answer.get("status") == "ok"
    return False

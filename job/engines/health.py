"""Health: checks that an engine can be reached and is healthy."""

import trio

from job.engines.answers import Connection, Response, TokenError, TransportError, parse_answer
from job.engines.id_tokens import IdTokens
from job.engines.identity import USER_AGENT
from job.text.shown import excerpt

PATIENCE_SECONDS = 30.0
"""Time limit for one engine. It allows for a cold start."""


async def health_problem(url: str, audience: str, connection: Connection, tokens: IdTokens) -> str | None:
    """Why the engine at `url` cannot be used, with the remedy; `None` if it is healthy. Closes the connection."""
    wrong: str | None = f"{url}: no answer within {PATIENCE_SECONDS:.0f} s"
    with trio.move_on_after(PATIENCE_SECONDS):
        try:
            token = await tokens.get(audience)
            headers = {"Authorization": f"Bearer {token}", "User-Agent": USER_AGENT}
            reply = await connection.request("GET", "/health", headers, None)
        except TokenError as error:
            wrong = f"{error.reason}; run where there is a service account, or set IMPERSONATE_SERVICE_ACCOUNT"
        except TransportError as error:
            wrong = f"{url}: {error.reason}"
        else:
            wrong = _unhealthy(reply, token, url)
    await connection.aclose()
    return wrong


_REMEDIES = {
    401: "the audience is wrong: set it to the service's own URL",
    403: "grant roles/run.invoker on the service to the job's account",
    404: "the URL is wrong, or the service's ingress does not allow the call",
}


def _unhealthy(response: Response, token: str, url: str) -> str | None:
    if response.status == 200:
        # At a wrong URL something else may answer 200: a login page, another service.
        shown = excerpt(response.body, token)
        return None if _says_ok(response.body, token) else f"{url}/health: not the answer of an engine: {shown}"
    remedy = _REMEDIES.get(response.status)
    return f"{url}/health: HTTP {response.status}" + (f"; {remedy}" if remedy else f": {excerpt(response.body, token)}")


def _says_ok(body: bytes, token: str) -> bool:
    try:
        answer = parse_answer(body, token)
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.get("status") == "ok"

"""Health: checks that an engine can be reached and is healthy."""

from contextlib import suppress

import trio

from job.engines.answers import AnswerError, Client, Response, account_in, parse_answer, status_reason
from job.engines.calls import EngineName
from job.engines.failures import Cause, remedy_of
from job.engines.id_tokens import IdTokens
from job.engines.identity import USER_AGENT
from job.text.messages import Message, colon, message, semicolon
from job.text.shown import excerpt

PATIENCE_SECONDS = 30.0


async def health_problem(
    engine: EngineName, url: str, audience: str, client: Client, tokens: IdTokens
) -> list[Message]:
    """Why the engine at `url` cannot be used, and the remedy; nothing if it is healthy."""
    wrong: list[Message | None] = [colon(url, message("no answer within {seconds} s", seconds=PATIENCE_SECONDS))]
    with trio.move_on_after(PATIENCE_SECONDS):
        try:
            token = await tokens.get(audience)
            headers = {"Authorization": f"Bearer {token}", "User-Agent": USER_AGENT}
            reply = await client.request("GET", "/health", headers, None)
        except AnswerError as error:
            wrong = [colon(url, error.reason), remedy_of(engine, error.cause, None)]
            if error.cause in {Cause.IDENTITY, Cause.TOKEN_SERVER}:
                remedy = message("run where there is a service account, or set IMPERSONATE_SERVICE_ACCOUNT")
                wrong = [semicolon(error.reason, remedy)]
        else:
            wrong = _unhealthy(engine, reply, token, url)
    return [*filter(None, wrong)]


def _unhealthy(engine: EngineName, response: Response, token: str, url: str) -> list[Message | None]:
    if response.status != 200:
        remedy = remedy_of(engine, Cause.STATUS, response.status, url=url, account=account_in(token))
        return [colon(f"{url}/health", status_reason(response, token)), remedy]
    # At a wrong URL something else may answer 200: a login page, another service.
    unexpected = message("unexpected answer: {answer}", answer=excerpt(response.body, token))
    return [] if _says_ok(response.body) else [colon(f"{url}/health", unexpected)]


def _says_ok(body: bytes) -> bool:
    with suppress(ValueError):
        answer = parse_answer(body)
        return isinstance(answer, dict) and answer.get("status") == "ok"
    return False

"""`check` says of each engine what is wrong, and what a person does about it; a token is never shown."""

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

import pytest
import trio

from job.engines.answers import AnswerError, Response
from job.engines.failures import Cause
from job.engines.health import health_problem
from job.text.messages import message

CLAIMS = urlsafe_b64encode(b'{"email": "job@p.example"}').decode().rstrip("=")
URL, TOKEN = "https://qa.example", f"header.{CLAIMS}.signature"
RIGHT = "roles/run.invoker on qa.example to job@p.example"
AT = f"{URL}/health: "


@dataclass
class Engine:
    """An engine and its token server. `None` is no answer."""

    answer: Response | AnswerError | None

    async def get(self, _audience: str) -> str:
        await trio.lowlevel.checkpoint()
        if isinstance(self.answer, AnswerError) and self.answer.cause is Cause.IDENTITY:
            raise self.answer
        return TOKEN

    async def request(self, *_: object) -> Response:
        if self.answer is None:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.usefixtures("autojump_clock")
@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Response(200, b'{"status": "ok"}'), []),
        (Response(200, b'{"status": 1}'), [f'{AT}unexpected answer: {{"status": 1}}']),
        (Response(200, b"null"), [f"{AT}unexpected answer: null"]),
        (Response(401, b""), [f"{AT}HTTP 401", "Where: QA_ENGINE_AUDIENCE."]),
        (Response(403, b"no"), [f"{AT}HTTP 403: no", f"Who: an owner of the project gives {RIGHT}."]),
        (Response(404, b"no route"), [f"{AT}HTTP 404: no route"]),
        (Response(500, f"no {TOKEN}".encode()), [f"{AT}HTTP 500: no [token]"]),
        (AnswerError(message("refused")), [f"{URL}: refused"]),
        (AnswerError(message("unknown"), Cause.HOST_UNKNOWN), [f"{URL}: unknown", "Where: QA_ENGINE_URL."]),
        (
            AnswerError(message("no"), Cause.IDENTITY),
            ["no; run where there is a service account, or set IMPERSONATE_SERVICE_ACCOUNT"],
        ),
        (None, [f"{URL}: no answer within 30 s"]),
    ],
)
async def test_what_is_wrong_with_an_engine(answer: Any, problem: list[str]) -> None:
    engine: Any = Engine(answer)
    assert [*map(str, await health_problem("qa", URL, URL, engine, engine))] == problem

"""The sender: one message to an incoming webhook, within some seconds. The second module that knows httpx."""

import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import chain, repeat

import httpx
import trio

from job.config.environment import Settings
from job.engines.http_connection import tls_context
from job.engines.identity import USER_AGENT
from job.execution.outcome import SUPERSEDED
from job.execution.shutdown import Ending
from job.notification.channels import Hook, Problem, judge
from job.notification.text import Line, RunEnd, cut, run_fields, run_lines
from job.text.messages import ENGLISH, Message, Translator, message, template, translator

SECONDS = 9.5
"""For the message; within half a second more the process says that it was not taken."""
TIMEOUT = httpx.Timeout(None, connect=3.0)
"""Seconds. Whoever sends bounds the whole."""
Fields = Callable[[], Mapping[str, object]]
ANSWER_LIMIT = 64 * 2**10
"""Bytes of an answer that count: a channel says what it has to say in a few hundred."""
WAITS = (0.5, 1.0, 2.0)
"""Seconds before the second request, the third and the fourth; the last one also before every later one."""
NOT_SENT = template("the message was not sent: {reason}")


class Notifier:
    """Sends the message about a run, to where the settings say. Changes nothing of the run."""

    def __init__(self, settings: Settings) -> None:
        url, secret = settings.notify_url, settings.notify_secret
        self.hook = Hook(url.get_secret_value(), secret.get_secret_value() if secret else None) if url else None
        """`None` if the settings ask for no message, or name no place that can be."""
        self._fault = settings.notify_fault
        self._translator = translator(settings.language)

    async def tell(self, end: RunEnd, ending: Ending) -> Message | None:
        """Sends it; says why if it was not taken. A run that stands back for its twin is told by the twin alone."""
        if end.outcome.word == SUPERSEDED:
            return None  # noqa: ASYNC910  nothing to await
        ended_by_signal = message(NOT_SENT, reason=message("a signal ended the sending"))
        with trio.CancelScope() as ending.sending:  # noqa: ASYNC912  the sending is awaited, if there is one
            return await self.send(run_lines(end), partial(run_fields, end), ending.seconds(SECONDS))
        return ended_by_signal

    async def send(self, lines: Iterable[Line], fields: Fields, seconds: float) -> Message | None:
        """Sends lines of any other message, if one is asked for; says why if it was not taken."""
        if self.hook is None:
            # The notice at the start watches over nothing: nobody may look at a log for weeks.
            return self._fault and message(NOT_SENT, reason=self._fault)  # noqa: ASYNC910  nothing to await
        return await send(self.hook, lines, fields, seconds, self._translator)


async def send(
    hook: Hook, lines: Iterable[Line], fields: Fields, seconds: float, translator: Translator = ENGLISH
) -> Message | None:
    """Sends the lines, as many as the channel takes. If it takes none, says so and why. Raises nothing.

    What may pass is tried again within the time: 429, 5xx, what the channel calls busy, and a connection that could not
    be made. A request whose answer is lost is not: the message may be there, and nobody wants it twice.
    """
    if seconds <= 0:
        return message(NOT_SENT, reason=message("no time was left for it"))  # noqa: ASYNC910  nothing to await
    reason = message("there was no answer within {seconds} s", seconds=round(seconds, 1))
    with trio.move_on_after(seconds):  # noqa: ASYNC912  the request is awaited
        try:
            text, more, tls = cut(list(lines), hook.channel.limit, translator), fields(), tls_context()
            for wait in chain(WAITS, repeat(WAITS[-1])):
                problem = await _try(hook, text, more, tls)
                if problem is None:
                    return None  # noqa: ASYNC910  the request was awaited
                reason = problem.reason
                if not problem.is_passing:
                    break
                await trio.sleep(wait)
        except Exception as error:  # noqa: BLE001  a message that cannot be sent must change nothing of the run
            reason = message("{error} in the job", error=type(error).__name__)
    return message(NOT_SENT, reason=reason)  # noqa: ASYNC910  as above


async def _try(hook: Hook, text: str, fields: Mapping[str, object], tls: ssl.SSLContext) -> Problem | None:
    url, body = hook.request(text, fields, time.time())
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": USER_AGENT,
        "Accept-Encoding": "identity",
    }
    content = bytearray()
    try:
        async with (
            httpx.AsyncClient(verify=tls, timeout=TIMEOUT, trust_env=False) as client,
            client.stream("POST", url, content=body, headers=headers) as response,
        ):
            async for piece in response.aiter_raw():
                if len(content) < ANSWER_LIMIT:  # to leave the loop would leave the generators to the collector
                    content += piece
    except (httpx.ConnectError, httpx.ConnectTimeout):
        return Problem(message("could not connect"), is_passing=True)  # noqa: ASYNC910  the request was awaited
    except httpx.TransportError:
        lost = message("the connection ended before the answer did, or it is not HTTP")
        return Problem(lost, is_passing=False)  # noqa: ASYNC910  as above
    return judge(hook, response.status_code, bytes(content))

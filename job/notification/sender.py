"""The sender: one message to an incoming webhook, within some seconds. The second module that knows httpx."""

import time
from collections.abc import Iterable, Mapping
from itertools import chain, repeat

import httpx
import trio

from job.config.environment import Settings
from job.identity import USER_AGENT
from job.messages import Message, message, template
from job.notification.channels import Hook, Problem, judge
from job.notification.text import Line, cut

CONNECT_SECONDS = 3.0
ANSWER_LIMIT = 64 * 2**10
"""Bytes of an answer that count: a channel says what it has to say in a few hundred."""
WAITS = (0.5, 1.0, 2.0)
"""Seconds before the second request, the third and the fourth; the last one also before every later one."""
NOT_SENT = template("the message was not sent: {reason}")


def hook_of(settings: Settings) -> Hook | None:
    """Where messages go; `None` if the settings ask for none, or name no place that can be."""
    if settings.notify_url is None:
        return None
    secret = settings.notify_secret
    return Hook(settings.notify_url.get_secret_value(), secret.get_secret_value() if secret else None)


async def send(hook: Hook, lines: Iterable[Line], fields: Mapping[str, object], seconds: float) -> Message | None:
    """Sends the lines, as many as the channel takes. If it takes none, says so and why. Raises nothing.

    What may pass is tried again within the time: 429, 5xx, what the channel calls busy, and a connection that could not
    be made. A request whose answer is lost is not: the message may be there, and nobody wants it twice.
    """
    reason = message("there was no answer within {seconds} s", seconds=round(seconds, 1))
    with trio.move_on_after(seconds):
        try:
            text = cut(list(lines), hook.channel.limit)
            for wait in chain(WAITS, repeat(WAITS[-1])):
                problem = await _try(hook, text, fields)
                if problem is None:
                    return None
                reason = problem.reason
                if not problem.is_passing:
                    break
                await trio.sleep(wait)
        except Exception as error:  # noqa: BLE001  a message that cannot be sent must change nothing of the run
            reason = message("{error} in the job", error=type(error).__name__)
    return message(NOT_SENT, reason=reason)


async def _try(hook: Hook, text: str, fields: Mapping[str, object]) -> Problem | None:
    url, body = hook.request(text, fields, time.time())
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": USER_AGENT,
        "Accept-Encoding": "identity",
    }
    content = bytearray()
    try:
        async with (
            httpx.AsyncClient(timeout=httpx.Timeout(None, connect=CONNECT_SECONDS), trust_env=False) as client,
            client.stream("POST", url, content=body, headers=headers) as response,
        ):
            async for piece in response.aiter_raw():
                if len(content) < ANSWER_LIMIT:  # to leave the loop would leave the generators to the collector
                    content += piece
    except (httpx.ConnectError, httpx.ConnectTimeout):
        return Problem(message("could not connect"), is_passing=True)
    except httpx.TransportError:
        return Problem(message("the connection ended before the answer did, or it is not HTTP"), is_passing=False)
    return judge(hook, response.status_code, bytes(content))

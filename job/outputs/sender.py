"""Sender: sends one message to an incoming webhook, within some seconds."""

import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import trio

from job.config.environment import Settings
from job.day.advice import TaskRetry, advice
from job.day.commands import Commands
from job.day.lines import Line
from job.day.outcome import ExitCode
from job.day.view import View
from job.engines.identity import USER_AGENT
from job.engines.tls import tls_context
from job.execution.shutdown import Shutdown
from job.outputs.channels import Hook, SendFailure, judge
from job.outputs.message import cut, run_fields, run_lines
from job.text.messages import ENGLISH, Message, Translator, message, translator

SEND_SECONDS = 9.5
"""Time limit for a message."""
CONNECT_SECONDS = 3.0
"""Time limit for connecting. `send` limits the time of the whole request."""
Fields = Callable[[], Mapping[str, object]]
REPLY_LIMIT = 64 * 2**10
"""Bytes of an answer that are read. A channel's own answer has a few hundred."""
WAITS = (1.0, 4.0)
"""Seconds before the second and the third request, which is the last: a chat may show each that it answers with 500."""


class Notifier:
    """Sends the message about a run to the webhook in the settings. A failure does not affect the run."""

    def __init__(self, settings: Settings) -> None:
        url, secret = settings.notify_url, settings.notify_secret
        self.hook = Hook(url.get_secret_value(), secret.get_secret_value() if secret else None) if url else None
        """`None` if NOTIFY_URL is not set or faulty."""
        self._settings = settings
        self._fault = settings.notify_fault
        self._translator = translator(settings.language)

    async def send(self, view: View, shutdown: Shutdown) -> Message | None:
        """Sends the message about a start, if it is news. Returns why it was not sent, or `None`."""
        if not self._is_news(view):
            return None
        settings, report = self._settings, view.report
        commands = Commands.of(report, settings.runs_uri, report.days, datetime.now(UTC))
        view = replace(view, steps=advice(report, view.ledger, commands, TaskRetry.of(settings)))
        lines, fields = run_lines(view, settings), partial(run_fields, view)
        with shutdown.stage("message") as seconds:
            return await self.send_lines(lines, fields, min(seconds, SEND_SECONDS))
        return _not_sent(message("a signal ended the sending"))

    def _is_news(self, view: View) -> bool:
        """Whether a message is sent about a start."""
        report = view.report
        if report.exit_code != ExitCode.DONE:
            return not report.is_of_command
        if report.task_attempt:  # the first try may have told that it failed
            return True
        if not report.number:  # nothing was left to do: whoever has asked waits to hear that
            return report.arguments != ("run",) or not report.days.is_scheduled(datetime.fromisoformat(report.started))
        return self._settings.notify_only == "all" or (view.follows, report.severity) != ("good", "good")

    async def send_lines(self, lines: Iterable[Line], fields: Fields, seconds: float) -> Message | None:
        """Sends any message, if NOTIFY_URL is set. Returns why it was not sent, or `None`."""
        if self.hook is None:
            # A faulty NOTIFY_URL is reported here again: alerts watch this error, not the notice at the start.
            return self._fault and _not_sent(self._fault)
        return await send(self.hook, lines, fields, seconds, self._translator, self._settings.authorities)


def _not_sent(reason: Message) -> Message:
    return message("the message was not sent: {reason}", reason=reason)


async def send(
    hook: Hook,
    lines: Iterable[Line],
    fields: Fields,
    seconds: float,
    translator: Translator = ENGLISH,
    authorities: str | None = None,
) -> Message | None:
    """Sends the lines, shortened to the channel's limit. Returns why the message was not sent, or `None`. Never raises.

    Temporary failures are retried within `seconds`: 429, 5xx, the channel's codes for busy, and a failure to connect. A
    request whose answer was lost is not retried, since the message may have arrived.
    """
    if seconds <= 0:
        return _not_sent(message("no time was left for it"))
    reason = message("no answer within {seconds} s", seconds=round(seconds, 1))
    with trio.move_on_after(seconds):
        try:
            text, more, tls = cut(list(lines), hook.channel, translator), fields(), tls_context(authorities)
            for wait in (0.0, *WAITS):
                await trio.sleep(wait)
                problem = await _try(hook, text, more, tls)
                if problem is None:
                    return None
                reason = problem.reason
                if not problem.is_passing:
                    break
        except Exception as error:  # noqa: BLE001  a message that cannot be sent must not affect the run
            reason = message("an error in the job: {error}", error=type(error).__name__)
    return _not_sent(reason)


async def _try(hook: Hook, text: str, fields: Mapping[str, object], tls: ssl.SSLContext) -> SendFailure | None:
    import httpx  # noqa: PLC0415  it takes 0.05 s to import, and is wanted once, at the end

    timeout = httpx.Timeout(None, connect=CONNECT_SECONDS)
    url, body = hook.request(text, fields, time.time())
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": USER_AGENT,
        "Accept-Encoding": "identity",
    }
    content = bytearray()
    try:
        async with (
            httpx.AsyncClient(verify=tls, timeout=timeout, trust_env=False) as client,
            client.stream("POST", url, content=body, headers=headers) as response,
        ):
            async for piece in response.aiter_raw():
                if len(content) < REPLY_LIMIT:  # `break` would leave the generators to the garbage collector
                    content += piece
    except (httpx.ConnectError, httpx.ConnectTimeout):
        return SendFailure(message("could not connect"), is_passing=True)
    except httpx.TransportError:
        lost = message("the connection ended before the answer did, or the answer is not HTTP")
        return SendFailure(lost, is_passing=False)
    return judge(hook, response.status_code, bytes(content))

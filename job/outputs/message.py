"""Message about a run, and how it is sent to an incoming webhook, within some seconds.

It stands by itself, since its readers may not reach Google.
"""

import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial

import trio

from job.config.environment import Settings
from job.day.attempt import ExitCode
from job.day.report import Report
from job.day.result import Counts
from job.engines.identity import USER_AGENT
from job.engines.tls import tls_context
from job.execution.shutdown import MOMENT, Shutdown
from job.outputs.channels import Channel, Hook, SendFailure, as_json, judge, pasted, plain
from job.telling.advice import start_fields
from job.telling.fields import totals_of
from job.telling.lines import SIGNS, Line, Mark, Rank
from job.telling.sentence import when
from job.telling.view import View, day_lines
from job.text.messages import ENGLISH, Message, Translator, at_host, colon, message, plural, template, translator
from job.text.shown import printable

NAME = "batch-orchestrator"
"""The job's name if it does not run on Cloud Run."""
FAULTS_LISTED = 5
_TRIAL = template("{job}: this is a test. A message like this comes when a run has ended.")


def run_lines(view: View, settings: Settings) -> Iterator[Line]:
    report = view.report
    yield Line(_title(settings, report, report.day), Rank.KEPT, mark=SIGNS[view.severity])
    yield from body_lines(view)
    if (at := when(report)) is not None:
        yield Line(at, Rank.KEPT)


def body_lines(view: View) -> Iterator[Line]:
    """How a day stands, as far as a message says it."""
    yield Line(message("{sentence}.", sentence=view.outcome), Rank.KEPT)
    yield from (line for line in day_lines(view, FAULTS_LISTED) if line.rank is not Rank.ASIDE)


def run_fields(view: View) -> Mapping[str, object]:
    """The fields for programs, as in the last line of the log; none of them quotes an answer."""
    return {
        **_fields("run.finished", view.report.day, is_done=view.report.exit_code == ExitCode.DONE),
        **totals_of(view.report),
        **start_fields(view.steps),
    }


def verify_lines(
    settings: Settings, report: Report | None, day: str, mark: Mark, problem: Message, more: Iterable[Line]
) -> Iterator[Line]:
    """That `verify` has found a `problem` with a day, and what `more` is said of that."""
    yield Line(colon(_title(settings, report, day), problem), Rank.KEPT, mark)
    yield from (line for line in more if line.rank is not Rank.ASIDE)


def trial_lines(settings: Settings) -> Iterator[Line]:
    yield Line(message(_TRIAL, job=_job(settings)))


def trial_fields() -> Mapping[str, object]:
    """The fields of `notify`: those of a run, with an event and an outcome that no run has."""
    outcome = {"outcome": "test", "exit_code": 0, "ended": None, "cards": asdict(Counts()), "engines": {}}
    return {**_fields("notification.tested", "test", is_done=True), **outcome, **start_fields(())}


def cut(lines: Sequence[Line], channel: Channel, translator: Translator = ENGLISH) -> str:
    """The lines as a text within the channel's limit: lines are left out, and one counts these."""
    shown = [_shown(line, translator) for line in lines]
    text = "\n".join(shown)
    order = sorted(
        range(len(lines)),
        key=lambda at: (lines[at].rank, -len(as_json(shown[at])) if lines[at].rank is Rank.KEPT else 0, -at),
    )
    for count in range(1, len(order) + 1):
        if _fits(text, channel):
            break
        first, *others = sorted(order[:count])
        more = plural("… and 1 more line", "… and {count} more lines", count=count)
        shown[first] = _shown(Line(more), translator)
        text = "\n".join(part for at, part in enumerate(shown) if at not in others)
    return text


def _fits(text: str, channel: Channel) -> bool:
    return len(as_json(text)) - 2 <= channel.limit  # without its quotes


def _shown(line: Line, translator: Translator) -> str:
    """The text in one line, and the command in another."""
    text = f"{line.mark} {translator.text(line.text)}".lstrip()
    text = plain(printable(text).replace("\n", " "))
    return text if line.below is None else f"{text}\n{pasted(printable(line.below))}"


def _fields(event: str, day: str, *, is_done: bool) -> Mapping[str, object]:
    return {
        "severity": "INFO" if is_done else "ERROR",
        "event": event,
        "time": datetime.now(UTC).isoformat(),
        "day": day,
    }


def _title(settings: Settings, report: Report | None, day: str) -> Message:
    return message("{job}, {day}", job=_job(settings, report), day=day)


def _job(settings: Settings, report: Report | None = None) -> str:
    return (report.job if report else None) or settings.job_to_start or settings.job or NAME


SEND_SECONDS = 9.5
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

    async def send(self, view: View, shutdown: Shutdown) -> Message | None:
        """Sends the message about a start, if it is news. Returns why it was not sent, or `None`."""
        if not self._is_news(view):
            return None
        lines, fields = run_lines(view, self._settings), partial(run_fields, view)
        with shutdown.until_request(trio.CancelScope()):
            return await self.send_lines(lines, fields, min(SEND_SECONDS, shutdown.seconds_left - MOMENT))
        return NO_TIME

    def _is_news(self, view: View) -> bool:
        report = view.report
        if view.was_sent:
            return False
        if report.is_of_command:  # on a laptop, whoever gave the command sees it; and a retry is refused for the same
            return report.execution is not None and not report.task_attempt
        if report.exit_code != ExitCode.DONE:
            return True
        if report.task_attempt:  # the first try may have told that it failed
            return True
        return self._settings.notify_only == "all" or (view.severity_before, view.severity) != ("good", "good")

    async def send_lines(self, lines: Iterable[Line], fields: Fields, seconds: float = SEND_SECONDS) -> Message | None:
        """Sends any message, shortened to the channel's limit. Returns why it was not sent, or `None`, also without
        NOTIFY_URL. Never raises.

        Temporary failures are retried within `seconds`: 429, 5xx, the channel's codes for busy, and a failure to
        connect. A request whose answer was lost is not retried, since the message may have arrived.
        """
        hook, settings = self.hook, self._settings
        if hook is None:
            # A faulty NOTIFY_URL is reported here again: alerts watch this error, not the notice at the start.
            return settings.notify_fault and _not_sent(settings.notify_fault)
        if seconds <= 0:
            return NO_TIME
        reason = message("no answer within {seconds} s", seconds=round(seconds, 1))
        with trio.move_on_after(seconds):
            try:
                text = cut(list(lines), hook.channel, translator(settings.language))
                more, tls = fields(), tls_context(settings.authorities)
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


def _not_sent(reason: Message) -> Message:
    return message("the message was not sent: {reason}", reason=reason)


NO_TIME = _not_sent(message("no time was left for it"))


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
        return SendFailure(at_host(message("could not connect"), url), is_passing=True)
    except httpx.TransportError:
        lost = message("the connection ended before the answer did, or the answer is not HTTP")
        return SendFailure(at_host(lost, url), is_passing=False)
    return judge(hook, response.status_code, bytes(content))

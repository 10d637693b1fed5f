"""Message about a run. It stands by itself, since its readers may not reach Google. It quotes no engine's answer."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime

from job.config.environment import Settings
from job.day.advice import Step, command_of
from job.day.commands import start_fields
from job.day.counts import Counts
from job.day.lines import Line, Rank, day_lines, step_lines
from job.day.outcome import SIGNS, ExitCode
from job.day.report import Report, totals_of
from job.day.view import View
from job.outputs.channels import Channel, as_json
from job.text.display import clock, printable, shortened
from job.text.messages import ENGLISH, Message, Translator, colon, message, plural, template

NAME = "batch-orchestrator"
"""The job's name if it does not run on Cloud Run."""
FAULTS_LISTED = 5
"""Faults of a configuration that are listed; further ones are only counted."""
FAULT_LIMIT = 302
"""Maximum number of characters of a line about the config."""
_TRIAL = template("{job}: this is a test. A message like this comes when a run has ended.")


def run_lines(view: View, settings: Settings) -> Iterator[Line]:
    """The message about a start that has ended."""
    report = view.report
    is_done = report.exit_code == ExitCode.DONE
    yield Line(_title(settings, report, report.day), Rank.KEPT, mark=SIGNS[report.severity])
    yield from _body(view)
    if report.ended is not None:
        time = clock(datetime.fromisoformat(report.ended), report.day)
        if is_done and report.number:
            yield Line(message("Done at {time}", time=time), Rank.KEPT)
        elif is_done:  # it was done before
            yield Line(message("Ended at {time}", time=time), Rank.KEPT)
        else:
            code = report.exit_code or 0
            ended = message("Ended at {time}", time=time)
            yield Line(message("{sentence} (exit code {code})", sentence=ended, code=code), Rank.KEPT)


def _body(view: View) -> Iterator[Line]:
    """How a day stands, what failed, and what to do next."""
    yield Line(message("{sentence}.", sentence=view.report.sentence), Rank.KEPT)
    for line in day_lines(view, FAULTS_LISTED):
        if line.what_to_do is not None:
            failed = message("{failed}. {remedy}", failed=line.text, remedy=line.what_to_do)
            yield replace(line, text=failed, what_to_do=None)
        elif line.rank is not Rank.ASIDE:
            yield line


def run_fields(view: View) -> Mapping[str, object]:
    """The fields for programs, as in the last line of the log; none of them quotes an answer."""
    return {
        **_fields("run.finished", view.report.day, is_done=view.report.exit_code == ExitCode.DONE),
        **totals_of(view.report),
        **start_fields(command_of(view.steps, "start")),
    }


def late_lines(
    settings: Settings, day: str, now: datetime, view: View | None, steps: Iterable[Step], *, is_known: bool
) -> Iterator[Line]:
    """The message that a day is not done yet; `view` is `None` if no start of it is recorded, and `steps` begin it.

    `now` is in the zone of the days. `is_known` is whether the record could be read.
    """
    title, late = (
        _title(settings, view.report if view else None, day),
        message("not done by {time}", time=clock(now, day)),
    )
    yield Line(colon(title, late), Rank.KEPT, mark="✗")
    if view is not None:
        yield from _body(view)
    elif not is_known:
        yield Line(message("The record cannot be read, so it is not known how the day stands."), Rank.KEPT)
    else:
        none = message("No start of {day} is recorded", day=day)
        yield Line(message("{sentence}.", sentence=none), Rank.KEPT)
        yield from (line for line in step_lines(steps) if line.rank is not Rank.ASIDE)


def trial_lines(settings: Settings) -> Iterator[Line]:
    """The message of `notify`."""
    yield Line(message(_TRIAL, job=_job(settings)))


def trial_fields() -> Mapping[str, object]:
    """The fields of `notify`: those of a run, with an event and an outcome that no run has."""
    outcome = {"outcome": "test", "exit_code": 0, "ended": None, "cards": asdict(Counts()), "engines": {}}
    return {**_fields("notification.tested", "test", is_done=True), **outcome, **start_fields(None)}


def cut(lines: Sequence[Line], channel: Channel, translator: Translator = ENGLISH) -> str:
    """The lines as one text for the channel, within its limit.

    If it is too long, lines are left out whole, by their rank; one line in place of the first of them counts them.
    """
    shown = [_shown(line, channel, translator) for line in lines]
    sizes = [len(as_json(text)) for text in shown]  # its two quotes are as long as a line feed
    order = sorted(
        (at for at, line in enumerate(lines) if line.rank is not Rank.KEPT),
        key=lambda at: (lines[at].rank, -sizes[at] if lines[at].rank else 0, -at),
        reverse=True,
    )
    size, left_out = sum(sizes) - 2, set[int]()
    counted = ""
    while size + (len(as_json(counted)) if left_out else 0) > channel.limit and order:
        first = order.pop()
        left_out.add(first)
        size -= sizes[first]
        more = plural("… and 1 more line", "… and {count} more lines", count=len(left_out))
        counted = _shown(Line(more), channel, translator)
    if left_out:
        shown[min(left_out)] = counted
        left_out.remove(min(left_out))
    return "\n".join(text for at, text in enumerate(shown) if at not in left_out)


def _shown(line: Line, channel: Channel, translator: Translator) -> str:
    """The text in one line, and the command in another."""
    text = f"{line.mark} {translator.text(line.text)}".lstrip()
    text = channel.plain(printable(shortened(text, FAULT_LIMIT) if line.is_of_config else text).replace("\n", " "))
    return text if line.command is None else f"{text}\n{channel.pasted(printable(line.command))}"


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

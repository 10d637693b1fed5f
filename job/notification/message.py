"""Message about a run. It stands by itself, since its readers may not reach Google. It quotes no engine's answer."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import IntEnum

from job.config.environment import Settings
from job.config.faults import Fault
from job.ledger.counts import Counts
from job.ledger.ledger import Ledger
from job.notification.channels import Channel, as_json
from job.report.advice import Step, command_of
from job.report.commands import start_fields
from job.report.failures import failure_groups
from job.report.notices import notices_of
from job.report.outcome import SIGNS, ExitCode
from job.report.report import Report, totals_of
from job.report.view import View
from job.text.display import clock, printable, shortened
from job.text.messages import ENGLISH, Message, Translator, colon, listed, message, plural, template

NAME = "batch-orchestrator"
"""The job's name if it does not run on Cloud Run."""
FAULTS_LISTED = 5
"""Faults of a configuration that are listed; further ones are only counted."""
FAULT_LIMIT = 302
"""Maximum number of characters of the line of a fault."""
_TRIAL = template("{job}: this is a test. A message like this comes when a run has ended.")


class Rank(IntEnum):
    """How much a line is needed, if the text has to be shortened."""

    DETAIL = 0
    """What failed and why: the last goes first."""
    EXTRA = 1
    """What else one may know or do: the longest goes first. So it is for the next rank."""
    NEXT = 2
    """What to do next, and where to read more."""
    KEPT = 3
    """How the day stands."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the text, and perhaps a command below it, which goes with it."""

    text: Message
    rank: Rank = Rank.DETAIL
    command: str | None = None
    """For a shell."""
    mark: str = ""
    """Before the text."""
    limit: int | None = None
    """Maximum number of characters of the text."""


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
    report = view.report
    yield Line(message("{sentence}.", sentence=report.sentence), Rank.KEPT)
    for note in report.notes:
        yield Line(note, Rank.EXTRA)
    yield from _cause_lines(report, view.ledger)
    for line in view.comparison:
        yield Line(line)
    yield from _fault_lines(report.faults, report.faults_not_listed)
    for notice in notices_of(view.ledger.plan):
        yield Line(notice, mark="!", limit=FAULT_LIMIT)
    yield from _step_lines(view.steps)
    if view.page:
        yield Line(message("Page: {page}", page=view.page), Rank.NEXT)


def _step_lines(steps: Iterable[Step]) -> Iterator[Line]:
    for step in steps:
        if step.kind == "later" or (step.command is not None and step.command.wants_checkout):
            continue  # the page has the one, and whoever reads this cannot give the other
        rank = Rank.EXTRA if step.kind in {"without", "variables"} else Rank.NEXT
        yield Line(step.sentence, rank, None if step.command is None else step.command.text)


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
        yield from _step_lines(steps)


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
    text = channel.plain(printable(text if line.limit is None else shortened(text, line.limit)).replace("\n", " "))
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


def _cause_lines(report: Report, ledger: Ledger) -> Iterator[Line]:
    """What failed and was set aside, and what to do. The trace id follows, for the engines' logs."""
    groups = failure_groups(ledger)
    for group in groups:
        failed = colon(group.heading, listed(group.names)) if group.names else group.heading
        yield Line(message("{failed}. {remedy}", failed=failed, remedy=group.what_to_do), mark="•")
    for one in report.set_aside:
        yield Line(message("{sentence}.", sentence=one.reason), mark="•")
    if groups:
        yield Line(colon(message("trace id"), report.trace_id), Rank.EXTRA)


def _fault_lines(faults: Sequence[Fault], not_listed: int) -> Iterator[Line]:
    for fault in faults[:FAULTS_LISTED]:
        yield Line(fault.sentence, mark="•", limit=FAULT_LIMIT)
    more = len(faults) + not_listed - FAULTS_LISTED
    if more > 0:
        yield Line(message("and {count} more", count=more), mark="•")

"""Message about a run. It stands by itself, since its readers may not reach Google. It quotes no engine's answer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from job.config.environment import Settings
from job.ledger.ledger import Ledger
from job.ledger.totals import CardTotals
from job.notification.channels import Channel, as_json
from job.records.past import RecordedRun
from job.report.advice import Step, advice
from job.report.commands import Place, page_address
from job.report.comparison import Comparison, comparison_lines, plan_lines
from job.report.failures import failure_groups
from job.report.format import PAGE
from job.report.outcome import ExitCode, Outcome, lacking, left_out_line, unquoted
from job.report.report import ReportedFault, RunReport, remade_lines, totals_of
from job.text.display import clock, printable, shortened
from job.text.messages import ENGLISH, Message, Translator, message, plural, template

NAME = "batch-orchestrator"
"""The job's name if it does not run on Cloud Run."""
FAULTS_LISTED = 5
"""Faults of a configuration that are listed; further ones are only counted."""
FAULT_LIMIT = 302
"""Maximum number of characters of the line of a fault."""
_SET_ASIDE = template(
    "• Card type {card_type} was set aside, as too many of its cards failed: the rest was not requested. {remedy}"
)
_SET_ASIDE_TOO = template(
    "• Card type {card_type} was set aside, as too many of its cards failed: the rest was not requested."
)
_TRACE_ID = "trace id"
"""What a remedy contains, in English, that asks for the run's trace id."""
_CARDS = template("{made} of {planned} cards are there.")
_TRIAL = template("{job}: this is a test. A message like this comes when a run has ended.")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the text."""

    text: Message
    is_kept: bool = False
    """Whether the line stays when the text has to be shortened."""
    limit: int | None = None
    """Maximum number of characters."""


def run_lines(report: RunReport, ledger: Ledger, steps: Sequence[Step], settings: Settings) -> Iterator[Line]:
    """The message about a run that has ended."""
    is_done = report.exit_code == ExitCode.DONE
    text = template("✓ {job}, {day}") if is_done else template("✗ {job}, {day}")
    yield Line(message(text, job=_job(settings, report), day=report.day), is_kept=True)
    yield Line(lacking(_sentence(report, report.attempts[-1].sentence), report.unrecorded), is_kept=True)
    cards = report.cards
    if report.outcome is Outcome.UNFORESEEN and cards.planned:
        yield Line(message(_CARDS, made=cards.made, planned=cards.planned), is_kept=True)
    if (left_out := left_out_line(report.left_out, report.outcome)) is not None:
        yield Line(left_out, is_kept=True)
    for line in remade_lines(report):
        yield Line(line)
    yield from _since_lines(report.since_last_night)
    yield from _cause_lines(report, ledger)
    if cards.not_attempted:
        yield Line(
            plural("• 1 card was not attempted.", "• {count} cards were not attempted.", count=cards.not_attempted)
        )
    yield from _fault_lines(report.faults, report.faults_not_listed)
    if before := ledger.counts("qa", now=True).skipped:
        yield Line(
            plural(
                "1 of the cards is from an earlier attempt at this run.",
                "{count} of the cards are from earlier attempts at this run.",
                count=before,
            )
        )
    yield from _step_lines(steps)
    if report.page:
        yield Line(message("Page: {page}", page=report.page), is_kept=True)
    elif report.page is not None:
        yield Line(message("The page of the run could not be written."), is_kept=True)
    yield Line(message("Run {run}, exit code {code}", run=report.run_id, code=report.exit_code or 0))


def run_fields(report: RunReport, ledger: Ledger, steps: Sequence[Step]) -> Mapping[str, object]:
    """The fields for programs, as in the last line of the log; none of them quotes an answer."""
    kinds = ("resume", "start", "again", "other", "look")
    commands = [step.command for kind in kinds for step in steps if step.kind == kind and step.command is not None]
    return {
        **_fields("run.finished", report.run_id, is_done=report.exit_code == ExitCode.DONE),
        **totals_of(report, ledger),
        "resume_command": commands[0] if commands else None,
    }


def late_lines(
    settings: Settings, day: str, now: datetime, latest: RecordedRun | None, *, is_known: bool = True
) -> Iterator[Line]:
    """The message that no run of a day has succeeded yet.

    `latest` is the latest run of the day; if there is none, the latest of any day. `is_known` is whether the records
    could be read.
    """
    report = latest.report if latest else None
    time = clock(now.astimezone(settings.time_zone), day)
    text = template("✗ {job}, {day}: no success by {time}")
    yield Line(message(text, job=_job(settings, report), day=day, time=time), is_kept=True)
    if latest is not None and report is not None and report.day == day:
        sentence = _sentence(report, report.sentence)
        yield Line(message("Run {run}: {sentence}", run=report.run_id, sentence=sentence), is_kept=True)
        yield from _cause_lines(report, latest.ledger)
        yield from _fault_lines(report.faults, report.faults_not_listed)
        yield from _step_lines(advice(report, latest.place, now))
        if PAGE in latest.documents and settings.runs_uri is not None:
            yield Line(message("Page: {page}", page=page_address(settings.runs_uri, report.run_id)), is_kept=True)
    elif not is_known:
        yield Line(message("The records cannot be read, so it is not known how that day's run ended."), is_kept=True)
    else:
        yield Line(message("No run of that day is recorded."), is_kept=True)
        if report is not None and report.job is not None:
            yield Line(message("This starts a run of {day}:", day=day), is_kept=True)
            has_no_date = report.date is None and settings.run_date is None and day == settings.day_of(now)
            place = Place(report.job, report.region, report.project, run_date=None if has_no_date else day)
            yield Line(message("{command}", command=place.again() or ""), is_kept=True)


def trial_lines(settings: Settings) -> Iterator[Line]:
    """The message of `notify --test`."""
    yield Line(message(_TRIAL, job=_job(settings)))


def trial_fields() -> Mapping[str, object]:
    """The fields of `notify --test`: those of a run, with an event and an outcome that no run has."""
    outcome = {"outcome": "test", "exit_code": 0, "cards": CardTotals().model_dump(), "engines": {}}
    return {**_fields("notification.tested", "test", is_done=True), **outcome, "resume_command": None}


def cut(lines: Sequence[Line], channel: Channel, translator: Translator = ENGLISH) -> str:
    """The lines as one text for the channel, within its limit.

    If it is too long, lines that are not `is_kept` are left out, the last first; one line in their place counts them.
    """
    shown = [channel.plain(_shown(line, translator)) for line in lines]
    sizes = [len(as_json(text)) for text in shown]  # its two quotes are as long as a line feed
    may_go = [at for at, line in enumerate(lines) if not line.is_kept]
    size, left_out = sum(sizes) - 2, set[int]()
    counted = ""
    while size + (len(as_json(counted)) if left_out else 0) > channel.limit and may_go:
        first = may_go.pop()
        left_out.add(first)
        size -= sizes[first]
        more = plural("… and 1 more line", "… and {count} more lines", count=len(left_out))
        counted = _shown(Line(more), translator)
    if left_out:
        shown[min(left_out)] = counted
        left_out.remove(min(left_out))
    return "\n".join(text for at, text in enumerate(shown) if at not in left_out)


def _shown(line: Line, translator: Translator) -> str:
    """The text in one line."""
    text = translator.text(line.text)
    return printable(text if line.limit is None else shortened(text, line.limit)).replace("\n", " ")


def _fields(event: str, run: str, *, is_done: bool) -> Mapping[str, object]:
    return {
        "severity": "INFO" if is_done else "ERROR",
        "event": event,
        "time": datetime.now(UTC).isoformat(),
        "run": run,
    }


def _sentence(report: RunReport, sentence: Message) -> Message:
    """How a run ended, without what an engine or storage has answered."""
    return unquoted(report.outcome, sentence, report.cards.made, report.cards.planned)


def _job(settings: Settings, report: RunReport | None = None) -> str:
    return (report.job if report else None) or settings.job or NAME


def _step_lines(steps: Sequence[Step]) -> Iterator[Line]:
    """What to do next. How to look for faults of the config is left out, as the faults are listed."""
    for step in steps:
        if step.kind != "correct":
            yield Line(step.sentence, is_kept=True)
        if step.command is not None:
            yield Line(message("{command}", command=step.command), is_kept=True)


def _since_lines(comparison: Comparison | None) -> Iterator[Line]:
    """The comparison with the night before, and how the plan has changed."""
    if comparison is None:
        return
    # Cards that were cut off or not attempted have lines of their own; the reason in this one could quote an answer.
    for line in comparison_lines(comparison.model_copy(update={"cut_off": 0, "not_attempted": 0}), Message("")):
        yield Line(line)
    if comparison.plan is not None:
        for line in plan_lines(comparison.plan, comparison.day):
            yield Line(line)


def _cause_lines(report: RunReport, ledger: Ledger) -> Iterator[Line]:
    """What failed, was cut off, and was set aside, and what to do: each once, and nothing if there is nothing to do.

    The trace id follows, if it is needed for that.
    """
    said = dict[str, None]()
    for group in failure_groups(ledger.failures):
        if group.needs_nothing or str(group.remedy) in said:
            yield Line(message("• {failure}.", failure=group.heading))
            continue
        said[str(group.remedy)] = None
        yield Line(message("• {failure}. {remedy}", failure=group.heading, remedy=group.remedy))
    if report.failures_not_listed:
        yield Line(plural("• 1 more failed.", "• {count} more failed.", count=report.failures_not_listed))
    for one in report.set_aside:
        if any(remedy in str(one.remedy) for remedy in said):
            yield Line(message(_SET_ASIDE_TOO, card_type=one.card_type))
            continue
        said[str(one.remedy)] = None
        yield Line(message(_SET_ASIDE, card_type=one.card_type, remedy=one.remedy))
    if any(_TRACE_ID in remedy for remedy in said):
        yield Line(message("trace id: {trace}", trace=report.trace_id), is_kept=True)


def _fault_lines(faults: Sequence[ReportedFault], not_listed: int) -> Iterator[Line]:
    for fault in faults[:FAULTS_LISTED]:
        yield Line(message("• {fault}", fault=fault.sentence), limit=FAULT_LIMIT)
    more = len(faults) + not_listed - FAULTS_LISTED
    if more > 0:
        yield Line(plural("• 1 more fault", "• {count} more faults", count=more))

"""Text of a message. It is complete in itself, since its readers may not reach Google. It quotes no engine's answer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from job.config.environment import Settings
from job.config.faults import Fault
from job.execution.outcome import ExitCode, Outcome, totals_of, with_record
from job.execution.progress import RunProgress
from job.notification.lines import Line
from job.notification.run_end import RunEnd
from job.records.commands import (
    ONCE_CORRECTED,
    again_command,
    how_to_go_on,
    on_a_later_day,
    page_address,
    unrecorded_lines,
)
from job.records.comparison import Comparison, comparison_lines
from job.records.format import PAGE
from job.records.groups import FailureGroup, failure_groups, then_of
from job.records.history import RecordedRun
from job.records.plan_change import plan_lines
from job.records.report import REFUSED, ReportedFault, RunReport
from job.text.display import clock, shortened
from job.text.messages import Message, message, plural, template

NAME = "batch-orchestrator"
"""The job's name if it does not run on Cloud Run."""
FAULTS_LISTED = 5
"""Faults of a configuration that are listed; further ones are only counted."""
FAULT_LIMIT = 300
"""Maximum number of characters of a listed fault."""


_WITHOUT_ANSWERS: Mapping[str, str] = {
    "data_engine_failed": template(
        "No card was requested, as a data engine failed; {made} of {planned} cards are there."
    ),
    "lease_lost": template(
        "The lease was lost, or could not be renewed, so the run stopped; {made} of {planned} cards are there."
    ),
    "no_lease": template("Storage failed, so another run may be at work. Nothing was called."),
}
"""The sentences of the outcomes whose own sentence quotes what an engine or storage has answered."""
_SET_ASIDE = template(
    "• Card type {card_type} was set aside, as too many of its cards failed: the rest was not requested. {remedy}"
)
_BEFORE_THE_COMMAND: Mapping[str, str] = {
    "bad_config": ONCE_CORRECTED,
    "busy": template("Once the other run has ended, this starts it again:"),
    "no_lease": template("Once storage can be reached, this starts it again:"),
}
"""The sentence before the command of a run that called nothing, by its outcome."""
_CARDS = template("{made} of {planned} cards are there.")
_START_AGAIN = template("This starts it again:")
_TRIAL = template("{job}: this is a test. A message like this comes when a run has ended.")
_RETRIES: Mapping[str, str] = {
    "bad_config": template("Cloud Run starts it again by itself, which fails too until that is corrected."),
    "interrupted": template(
        "Cloud Run starts it again by itself, unless somebody cancelled it: nothing has to be done before its next "
        "message."
    ),
}
"""What Cloud Run does next if it starts the task again, by the outcome."""
_RETRIES_IN_VAIN: Mapping[str, str] = {
    "bad_config": template("Cloud Run starts it again by itself, which fails too."),
    "busy": template("Cloud Run starts it again by itself, which may make the cards of the other run again."),
}
"""The same, if something else is to be done instead."""
_RETRY = template("Cloud Run starts it again by itself: nothing has to be done before its next message.")


def run_lines(end: RunEnd) -> Iterator[Line]:
    """The message about a run."""
    settings, run_id = end.request.settings, end.request.identity.id
    outcome, report = end.outcome, end.report
    text = template("✓ {job}, {day}") if outcome.exit == ExitCode.DONE else template("✗ {job}, {day}")
    yield Line(message(text, job=_job(settings, report), day=end.day), is_kept=True)
    made, planned, waiting, before = _cards(end)
    sentence = _sentence(outcome.word, outcome.sentence, made, planned)
    if sentence is not outcome.sentence:
        sentence = with_record(replace(outcome, sentence=sentence), outcome.unrecorded).sentence
    yield Line(sentence, is_kept=True)
    if outcome.exit == ExitCode.UNFORESEEN and planned:
        yield Line(message(_CARDS, made=made, planned=planned), is_kept=True)
    yield from _since_lines(end.comparison)
    groups = failure_groups(end.failures)
    yield from _cause_lines(groups, end.failures_not_listed)
    for one in end.progress.set_aside if end.progress else ():
        yield Line(message(_SET_ASIDE, card_type=one.card_type, remedy=one.remedy))
    if waiting:
        yield Line(plural("• 1 card was not attempted.", "• {count} cards were not attempted.", count=waiting))
    yield from _fault_lines(end.faults)
    if before:
        yield Line(
            plural(
                "1 of the cards is from an earlier attempt at this run.",
                "{count} of the cards are from earlier attempts at this run.",
                count=before,
            )
        )
    if outcome.exit != ExitCode.DONE:
        for line in (*_retry_lines(settings, outcome), *_what_to_run(end, groups, planned, made)):
            yield Line(line, is_kept=True)
    if report is not None and settings.runs_uri is not None:
        page = message("Page: {page}", page=page_address(settings.runs_uri, run_id))
        yield Line(page if end.has_page else message("The page of the run could not be written."), is_kept=True)
    yield Line(message("Run {run}, exit code {code}", run=run_id, code=int(outcome.exit)))


def run_fields(end: RunEnd) -> Mapping[str, object]:
    """The fields for programs, as in the last line of the log; none of them quotes an answer."""
    command = None if end.outcome.exit == ExitCode.DONE else end.command
    return _fields("run.finished", end.request.identity.id, end.outcome, end.progress, command)


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
        cards = report.cards
        sentence = _sentence(report.outcome, report.sentence_message, cards.generated, cards.planned)
        yield Line(message("Run {run}: {sentence}", run=report.run_id, sentence=sentence), is_kept=True)
        groups = failure_groups(latest.timeline.failures)
        yield from _cause_lines(groups, report.failures_not_listed)
        yield from _fault_lines(report.faults)
        if report.resume_command is not None:
            yield Line(how_to_go_on(report.outcome, then_of(groups), cards.generated), is_kept=True)
            yield Line(message("{command}", command=report.resume_command), is_kept=True)
        if report.start_command is not None:
            is_refused = report.outcome == REFUSED
            yield Line(message(ONCE_CORRECTED) if is_refused else on_a_later_day(day), is_kept=True)
            yield Line(message("{command}", command=report.start_command), is_kept=True)
        if PAGE in latest.documents and settings.runs_uri is not None:
            yield Line(message("Page: {page}", page=page_address(settings.runs_uri, report.run_id)), is_kept=True)
    elif not is_known:
        yield Line(message("The records cannot be read, so it is not known how that day's run ended."), is_kept=True)
    else:
        yield Line(message("No run of that day is recorded."), is_kept=True)
        if report is not None and report.job is not None:
            yield Line(message("This starts a run of {day}:", day=day), is_kept=True)
            has_no_date = report.date is None and settings.run_date is None and day == settings.day_of(now)
            place = settings.model_copy(
                update={
                    "job": report.job,
                    "region": report.region,
                    "project": report.project,
                    "run_date": None if has_no_date else day,
                }
            )
            yield Line(message("{command}", command=again_command(place, ())), is_kept=True)


def trial_lines(settings: Settings) -> Iterator[Line]:
    """The message of `notify --test`."""
    yield Line(message(_TRIAL, job=_job(settings)))


def trial_fields(settings: Settings) -> Mapping[str, object]:
    """The fields of `notify --test`: those of a run, with an event and an outcome that no run has."""
    outcome = Outcome("test", ExitCode.DONE, message(_TRIAL, job=_job(settings)))
    return _fields("notification.tested", "test", outcome, None, None)


def _fields(
    event: str, run: str, outcome: Outcome, progress: RunProgress | None, command: str | None
) -> Mapping[str, object]:
    return {
        "severity": "INFO" if outcome.exit == ExitCode.DONE else "ERROR",
        "event": event,
        "time": datetime.now(UTC).isoformat(),
        "run": run,
        **totals_of(outcome, progress),
        "resume_command": command,
    }


def _sentence(outcome: str, sentence: Message | None, made: int, planned: int) -> Message:
    """How a run ended, without what an engine or storage has answered."""
    if outcome == "lease_lost" and not planned:
        return message("The lease was lost, or could not be renewed, so the run stopped; nothing was called.")
    if outcome in _WITHOUT_ANSWERS:
        return message(_WITHOUT_ANSWERS[outcome], made=made, planned=planned)
    return sentence or message(_CARDS, made=made, planned=planned)


def _job(settings: Settings, report: RunReport | None = None) -> str:
    return (report.job if report else None) or settings.job or NAME


def _cards(end: RunEnd) -> tuple[int, int, int, int]:
    """Cards: made by any attempt, planned, not attempted, made by earlier attempts."""
    before = end.progress.cards.skipped if end.progress else 0
    if end.report is not None:
        cards = end.report.cards
        return cards.generated, cards.planned, cards.not_attempted, before
    if end.progress is None:
        return 0, 0, 0, 0
    progress = end.progress.cards
    return progress.done + before, progress.planned, progress.not_attempted, before


def _since_lines(comparison: Comparison | None) -> Iterator[Line]:
    """The comparison with the night before, and how the plan has changed."""
    if comparison is None:
        return
    # Cards that were cut off or not attempted have lines of their own; the reason in this one could quote an answer.
    for line in comparison_lines(comparison.model_copy(update={"cut_off": 0, "not_attempted": 0}), ""):
        yield Line(line)
    if comparison.plan is not None:
        for line in plan_lines(comparison.plan, comparison.day):
            yield Line(line)


def _cause_lines(groups: Sequence[FailureGroup], more: int) -> Iterator[Line]:
    for group in groups:
        yield Line(message("• {failure}. {remedy}", failure=group.heading, remedy=group.remedy))
    if more:
        yield Line(plural("• 1 more failed.", "• {count} more failed.", count=more))


def _fault_lines(faults: Sequence[Fault | ReportedFault]) -> Iterator[Line]:
    for fault in faults[:FAULTS_LISTED]:
        yield Line(message("• {fault}", fault=shortened(str(fault), FAULT_LIMIT)))
    more = len(faults) - FAULTS_LISTED
    if more > 0:
        yield Line(plural("• 1 more fault", "• {count} more faults", count=more))


def _is_started_again(settings: Settings) -> bool | None:
    """Whether Cloud Run starts the task again; `None` if its number of retries is not known."""
    if settings.max_retries is None or settings.execution is None:
        return None
    return settings.task_attempt < settings.max_retries


def _retry_lines(settings: Settings, outcome: Outcome) -> Iterator[Message]:
    is_started_again = _is_started_again(settings)
    if is_started_again and outcome.instead is not None:
        yield message(_RETRIES_IN_VAIN[outcome.word])
    elif is_started_again:
        yield message(_RETRIES.get(outcome.word, _RETRY))
    elif is_started_again is False:
        yield message("Cloud Run does not start it again.")


def _what_to_run(end: RunEnd, groups: Sequence[FailureGroup], planned: int, made: int) -> Iterator[Message]:
    """Each command that goes on with the run, after the sentences that say what it does."""
    word, report, new_run = end.outcome.word, end.report, end.new_run
    is_last_resort = word != REFUSED and _is_started_again(end.request.settings)
    can_be_resumed = end.resume is not None
    is_of_a_day = new_run is not None and (report is None or report.outcome != REFUSED)
    if end.outcome.instead is not None:
        yield end.outcome.instead.sentence
    elif can_be_resumed and is_last_resort:
        yield message("Only if none comes, this requests only what is missing:")
    elif can_be_resumed:
        yield how_to_go_on(word, then_of(groups), made)
    elif is_of_a_day and is_last_resort:
        yield message("Only if none comes, this starts a new run for {day}, which makes all its cards:", day=end.day)
    elif is_of_a_day:
        yield on_a_later_day(end.day)
    elif is_last_resort:
        yield message("Only if none comes, this starts it again:")
    elif end.progress is not None:
        yield from unrecorded_lines(planned - made, made)
    else:
        yield message(_BEFORE_THE_COMMAND.get(word, _START_AGAIN))
    yield message("{command}", command=end.command)
    if can_be_resumed and new_run is not None:
        yield on_a_later_day(end.day)
        yield message("{command}", command=new_run)

"""Report of a run, `report.json`: how it ended, for machines and for the page. A function of the record alone."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import islice

from pydantic import Field

from job.config.entries import Date
from job.config.faults import Fault
from job.config.fields import RunId
from job.engines.catalog import EngineName
from job.engines.failures import Then
from job.engines.identity import COMMIT, VERSION, RunIdentity
from job.execution.outcome import Outcome
from job.execution.progress import CardTotals, Count, EngineTotals, Part, Seconds, percentile
from job.planning.items import MissingItem, MissingState
from job.planning.plan import Plan
from job.records.commands import ways_on
from job.records.comparison import Comparison
from job.records.format import FORMAT, Stamp, Word
from job.records.groups import then_of
from job.records.inputs import RunInputs
from job.records.results import CallResult
from job.records.set_aside import SetAsideType
from job.records.timeline import Timeline
from job.text.display import shortened
from job.text.messages import Message, message, template

REFUSED = "bad_config"
"""The outcome of a run that had no plan: its record has a report and no inputs."""
UNFINISHED = "unfinished"
MISSING_LISTED = 10_000
"""Missing cards that the report lists; further ones are only counted."""
_UNFINISHED = message("The run has not closed its record: it is at work, or it was killed.")
RUNNING = template("According to its lease, the run is at work; {made} of {planned} cards are there.")
KILLED = template(
    "The run was killed: {made} of {planned} cards are recorded, but perhaps not those of its last seconds."
)
FAULT_LIMIT = 1000
"""Maximum number of characters of each text of a fault."""


class ReportedFault(Part):
    """A fault of the configuration: where it is, what it is, and what to do about it."""

    where: str
    what: str
    remedy: str

    @classmethod
    def of(cls, fault: Fault) -> "ReportedFault":
        """A fault for the report, its texts shortened."""
        where, what, remedy = (shortened(text, FAULT_LIMIT) for text in (fault.where, fault.what, fault.remedy))
        return cls(where=where, what=what, remedy=remedy)

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.remedy}"


class FailedCall(Part):
    """A call that failed for good, with those of its targets that no later attempt has done."""

    engine: EngineName
    targets: tuple[str, ...]
    card_type: str | None
    cause: str
    """A `Cause`."""
    status: Count | None
    reason: str
    """The last answer, or why there was none."""
    reason_message: Message | None = None
    attempts: Count
    traceparent: str
    remedy: str
    """What to correct."""
    remedy_message: Message | None = None
    then: Then = "resume"
    """How to resume the run after that: `resume`, or `new_config` if the config was corrected."""

    @classmethod
    def of(cls, result: CallResult) -> "FailedCall":
        """A result for the report."""
        return cls(
            engine=result.engine,
            targets=result.targets,
            card_type=result.card_type,
            cause=result.cause or "",
            status=result.status,
            reason=result.reason or "",
            reason_message=result.reason_message,
            attempts=result.attempts,
            traceparent=result.traceparent,
            remedy=str(result.remedy),
            remedy_message=result.remedy,
            then=result.then,
        )


class MissingCard(Part):
    """A planned card that is not made."""

    target: str
    card_type: str
    state: MissingState
    cause: str | None
    """As in `FailedCall`; `None` if the card was not attempted."""


class AttemptSummary(Part):
    """One attempt at the run that closed its record."""

    started: Stamp
    ended: Stamp
    seconds: Seconds
    outcome: Word
    exit_code: int
    sentence: str = ""
    sentence_message: Message | None = None
    set_aside: tuple[SetAsideType, ...] = ()

    @classmethod
    def of(
        cls,
        outcome: Outcome,
        zone: tzinfo | None,
        started: datetime,
        seconds: float,
        set_aside: tuple[SetAsideType, ...] = (),
    ) -> "AttemptSummary":
        """The summary of an attempt that ends now; `seconds` is its duration, `zone` the time zone of the run."""
        moments = (started, started + timedelta(seconds=seconds))
        began, ended = (moment.astimezone(zone).isoformat(timespec="seconds") for moment in moments)
        return cls(
            started=began,
            ended=ended,
            seconds=round(seconds, 3),
            outcome=outcome.word,
            exit_code=int(outcome.exit),
            sentence=str(outcome.sentence),
            sentence_message=outcome.sentence,
            set_aside=set_aside,
        )


class RunReport(Part):
    """The whole of `report.json`. Its totals and failures are those of all attempts at the run together."""

    format: int = FORMAT
    run_id: RunId
    day: Date
    date: Date | None
    started: Stamp
    """When the first attempt at the run began, in the run's time zone."""
    ended: Stamp | None
    seconds: Seconds | None
    """How long the latest attempt took."""
    outcome: Word
    exit_code: int | None
    sentence: str
    sentence_message: Message | None = None
    cards: CardTotals = CardTotals()
    engines: dict[EngineName, EngineTotals] = Field(default_factory=dict)
    failures: tuple[FailedCall, ...] = ()
    failures_not_listed: Count = 0
    """Number of failed items whose calls are not listed."""
    missing: tuple[MissingCard, ...] = ()
    """The cards that are not made, for any reason, in the plan's order."""
    missing_not_listed: Count = 0
    faults: tuple[ReportedFault, ...] = ()
    """Why nothing was called, if the configuration could not be used."""
    faults_not_listed: Count = 0
    attempts: tuple[AttemptSummary, ...] = ()
    """The attempts that closed the record, the latest last. An attempt that was killed is not listed."""
    journal: dict[str, Count] = Field(default_factory=dict)
    """How many objects of results each attempt had written when the record was closed, by its owner. An attempt that
    is not listed is later. Empty in a report of an earlier version.
    """
    left_plan: Count = 0
    """Number of items that earlier attempts did or tried with another config, and that the present plan lacks."""
    outdated_cards: Count = 0
    """Number of generated cards whose model or parameters were those of another config."""
    since_last_night: Comparison | None = None
    """`None` if there is no night before, or if it was not read in time."""
    config_uri: str
    config_generations: dict[str, str] = Field(default_factory=dict)
    """The generation of each config object that was used."""
    version: str
    commit: str | None = None
    trace_id: str
    project: str | None = None
    region: str | None = None
    job: str | None = None
    execution: str | None = None
    runs_uri: str | None = None
    """Where the run is recorded, if it began on a laptop."""
    resume_command: str | None = None
    """The shell command that resumes the run; `None` if it did all its work, or cannot be resumed."""
    start_command: str | None = None
    """The shell command that starts a new run, if this one cannot be resumed, or only on its day."""

    def is_after(self, attempts: Iterable[str]) -> bool:
        """Whether it was written after the results of these attempts, so that none of them is later."""
        return not self.journal or self.journal.keys() >= set(attempts)

    @property
    def then(self) -> Then:
        """How to resume the run."""
        return "new_config" if any(call.then == "new_config" for call in self.failures) else "resume"

    def seen(self, moment: datetime) -> "RunReport":
        """The report as a person sees it at this moment: without a command to resume the run if it would be refused."""
        today = moment.astimezone(datetime.fromisoformat(self.started).tzinfo).date().isoformat()
        is_over = self.date is None and today != self.day
        return self.model_copy(update={"resume_command": None}) if is_over else self

    @property
    def set_aside(self) -> tuple[SetAsideType, ...]:
        """The card types that the latest attempt set aside; empty if it has not closed the record."""
        return self.attempts[-1].set_aside if self.attempts and self.ended is not None else ()

    @property
    def continued(self) -> bool:
        """Whether the latest listed attempt was not the first. A killed first attempt leaves only the run's start."""
        if len(self.attempts) != 1:
            return len(self.attempts) > 1
        return datetime.fromisoformat(self.attempts[0].started) > datetime.fromisoformat(self.started)


def build_report(
    inputs: RunInputs,
    plan: Plan,
    timeline: Timeline,
    attempts: Sequence[AttemptSummary] = (),
    *,
    closed: bool = False,
    since: Comparison | None = None,
    **place: str | None,
) -> RunReport:
    """The report of a run from its record.

    `attempts` are those that closed the record; `closed` is whether the last of them is the latest attempt.
    `since` is the comparison with the night before.
    `place` has the fields version, commit, project and execution of the report.
    """
    last = attempts[-1] if closed else None
    engines = _engines(plan, timeline)
    failures = timeline.failures
    listed = sum(len(call.targets) for call in failures)
    cards = timeline.items["qa"]
    resume, start = ways_on(inputs, then_of(failures), datetime.fromisoformat(last.ended if last else inputs.started))
    if last and last.exit_code == 0:
        resume, start = None, None
    missing = tuple(_missing(item) for item in islice(cards.missing(), MISSING_LISTED))
    return RunReport(
        run_id=inputs.run_id,
        day=inputs.day,
        date=inputs.date,
        started=inputs.started,
        ended=last.ended if last else None,
        seconds=last.seconds if last else None,
        outcome=last.outcome if last else UNFINISHED,
        exit_code=last.exit_code if last else None,
        sentence=last.sentence if last else str(_UNFINISHED),
        sentence_message=last.sentence_message if last else _UNFINISHED,
        cards=engines["qa"].cards() if "qa" in engines else CardTotals(),
        engines=engines,
        failures=tuple(FailedCall.of(call) for call in failures),
        failures_not_listed=sum(engine.failed for engine in engines.values()) - listed,
        missing=missing,
        missing_not_listed=cards.planned - len(cards) - len(missing),
        attempts=tuple(attempts),
        left_plan=timeline.left_plan,
        outdated_cards=timeline.outdated_cards,
        since_last_night=since,
        config_uri=inputs.config_uri,
        config_generations={name: kept.generation for name, kept in sorted(inputs.objects.items())},
        trace_id=RunIdentity(inputs.run_id).trace_id,
        region=inputs.region,
        job=inputs.job,
        runs_uri=inputs.runs_uri,
        resume_command=resume,
        start_command=start,
        **{"version": VERSION, "commit": COMMIT, **place, "project": place.get("project") or inputs.project},
    )


def _missing(item: MissingItem) -> MissingCard:
    return MissingCard(target=item.target, card_type=item.card_type or "", state=item.state, cause=item.cause)


def _engines(plan: Plan, timeline: Timeline) -> dict[EngineName, EngineTotals]:
    found: dict[EngineName, EngineTotals] = {}
    for engine in plan.engines():
        items, lane = timeline.items[engine], timeline.lanes[engine]
        seconds, done = lane.seconds(), len(items)
        found[engine] = EngineTotals(
            planned=items.planned,
            done=done,
            skipped=0,
            failed=items.failed,
            not_attempted=items.planned - done - items.failed,
            cut_off=items.cut_off,
            calls=len(lane),
            retries=lane.retries,
            p50_seconds=percentile(seconds, 50) if seconds else None,
            p95_seconds=percentile(seconds, 95) if seconds else None,
        )
    return found

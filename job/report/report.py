"""Report of a run, `report.json`: how it ended, for machines and for people. A function of the run's record alone."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta, tzinfo
from itertools import chain, islice
from math import inf

from pydantic import Field, ValidationError
from pydantic_core import to_json

from job.config.entries import Date
from job.config.faults import Fault, fault_sentence
from job.config.fields import RunId
from job.engines.catalog import DATA_ENGINES, EngineName
from job.engines.failures import Then
from job.engines.identity import COMMIT, VERSION, RunIdentity
from job.ledger.items import MissingItem, MissingState
from job.ledger.ledger import Ledger, SetAside, busy_stretches
from job.ledger.result import CallResult
from job.ledger.totals import CardTotals, Count, EngineTotals, Part, Seconds
from job.report.comparison import Comparison
from job.report.failures import targets_at_fault
from job.report.format import FORMAT, RecordError, Stamp, check_format, not_valid
from job.report.inputs import RunInputs
from job.report.outcome import Ending, ExitCode, Instead, Outcome, lacking
from job.report.summary import SUMMARY_LIMIT, MissingGroup, NightBefore, Phase, RunSummary, pack_summary
from job.text.display import clock, shortened
from job.text.messages import Message, Value, listed, message, plural

REMADE_LISTED = 1000
"""Cards made again that the report lists; further ones are only counted."""
MISSING_LISTED = 10_000
"""Missing cards that the report lists; further ones are only counted."""
FAULTS_LISTED = 1000
FAULT_LIMIT = 1000
"""Maximum number of characters of each text of a fault."""


CARD_TYPES_LISTED = 500
"""Maximum number of card types whose median is kept; these are the slowest."""
_SENTENCE_LIMIT = 1000
_GROUP_BYTES = 500
"""Maximum bytes of a group without its targets."""


class ReportedFault(Part):
    """A fault of the configuration: where it is, what it is, and what to do about it."""

    where: Message
    what: Message
    remedy: Message

    @classmethod
    def of(cls, fault: Fault) -> "ReportedFault":
        """A fault for the report; a text that is too long is shortened, and stays English."""
        where, what, remedy = (_limited(text) for text in (fault.where, fault.what, fault.remedy))
        return cls(where=where, what=what, remedy=remedy)

    @property
    def sentence(self) -> Message:
        """The whole fault."""
        return fault_sentence(self.where, self.what, self.remedy)


def _limited(text: Value) -> Message:
    words = str(text)
    if isinstance(text, Message) and len(words) <= FAULT_LIMIT:
        return text
    return Message(shortened(words, FAULT_LIMIT))


class FailedCall(Part):
    """A call that failed for good, with those of its targets that no later attempt has done."""

    engine: EngineName
    targets: tuple[str, ...]
    card_type: str | None
    cause: str
    """A `Cause`."""
    status: Count | None
    reason: Message
    """The last answer, or why there was none."""
    attempts: Count
    traceparent: str
    remedy: Message
    """What to correct."""
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
            reason=result.reason or Message(""),
            attempts=result.attempts,
            traceparent=result.traceparent,
            remedy=result.remedy,
            then=result.then,
        )


class MissingCard(Part):
    """A planned card that is not made."""

    target: str
    card_type: str
    state: MissingState
    cause: str | None
    """As in `FailedCall`; `None` if the card was not attempted."""


class RemadeCard(Part):
    """A card that a person has asked to have made again."""

    target: str
    card_type: str
    made: Stamp | None
    """When it was made again; `None` if it was not yet."""


class AttemptSummary(Part):
    """One attempt at the run that closed its record."""

    started: Stamp
    ended: Stamp
    seconds: Seconds
    outcome: Outcome
    exit_code: int
    sentence: Message = Message("")
    set_aside: tuple[SetAside, ...] = ()

    @classmethod
    def of(
        cls, ending: Ending, inputs: RunInputs, started: datetime, seconds: float, set_aside: Iterable[SetAside] = ()
    ) -> "AttemptSummary":
        """The summary of an attempt that ends now; `seconds` is its duration."""
        moments, zone = (started, started + timedelta(seconds=seconds)), inputs.zone
        began, ended = (moment.astimezone(zone).isoformat(timespec="seconds") for moment in moments)
        return cls(
            started=began,
            ended=ended,
            seconds=round(seconds, 3),
            outcome=ending.outcome,
            exit_code=int(ending.exit),
            sentence=ending.sentence,
            set_aside=tuple(set_aside),
        )


class RunReport(Part):
    """The whole of `report.json`. Its totals and failures are those of all attempts at the run together."""

    format: int = FORMAT
    run_id: RunId
    day: Date
    date: Date | None
    started: Stamp
    """When the first attempt at the run began, in the run's time zone."""
    zone: str | None = None
    """The name of that time zone; `None` in a report of an earlier version."""
    ended: Stamp | None
    seconds: Seconds | None
    """How long the latest attempt took."""
    outcome: Outcome
    exit_code: int | None
    sentence: Message
    cards: CardTotals = CardTotals()
    engines: dict[EngineName, EngineTotals] = Field(default_factory=dict)
    failures: tuple[FailedCall, ...] = ()
    failures_not_listed: Count = 0
    """Number of failed items whose calls are not listed."""
    missing: tuple[MissingCard, ...] = ()
    """The cards that are not made, for any reason, in the plan's order."""
    missing_not_listed: Count = 0
    asked_again: Count = 0
    """Number of cards that a person has asked to have made again; `made_again` of them were."""
    made_again: Count = 0
    remade: tuple[RemadeCard, ...] = ()
    """Some of these cards: those first that were not made again, then those that were made last."""
    faults: tuple[ReportedFault, ...] = ()
    """Why nothing was called, if the configuration could not be used."""
    faults_not_listed: Count = 0
    attempts: tuple[AttemptSummary, ...] = ()
    """The attempts that closed the record, the latest last. An attempt that was killed is not listed."""
    attempt: Count | None = None
    """The number of the attempt that wrote this report; `None` in a report of an earlier version."""
    journal: dict[str, Count] = Field(default_factory=dict)
    """How many objects of results each attempt had written when the record was closed, by its owner. An attempt that
    is not listed is later. Empty in a report of an earlier version.
    """
    left_plan: Count = 0
    """Number of items that earlier attempts did or tried with another config, and that the present plan lacks."""
    outdated_cards: Count = 0
    """Number of generated cards whose model or parameters were those of another config."""
    left_out: tuple[str, ...] = ()
    """The targets that a person has left out. Their cards are in `cards.left_out`, and in no other number."""
    at_fault: tuple[str, ...] = ()
    """The targets whose data failed, if nothing else did and the run ended so: without them it could go on."""
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
    is_recorded: bool = Field(True, exclude=True)
    """Whether the run has a record from which it can be resumed. This field and those below are not stored."""
    is_latest: bool = Field(True, exclude=True)
    """Whether it is the latest run of its day, which a start continues."""
    unrecorded: int | None = Field(None, exclude=True)
    """How many results the record lacks, if it could not be closed."""
    instead: Instead | None = Field(None, exclude=True)
    """As in `Ending`."""
    is_news: bool = Field(True, exclude=True)
    """Whether a message is sent: not if everything was there already, nor about what NOTIFY_ONLY leaves out."""
    card_url: str | None = Field(None, exclude=True)
    """CARD_URL of the latest attempt, which its entry in the record keeps."""
    page: str | None = Field(None, exclude=True)
    """The address of its page; empty if it could not be written, `None` if the run has none."""

    @property
    def then(self) -> Then:
        """How to resume the run."""
        return "new_config" if any(call.then == "new_config" for call in self.failures) else "resume"

    @property
    def had_plan(self) -> bool:
        """Whether the run had a plan when it ended."""
        return bool(self.engines)

    @property
    def failed_engines(self) -> int:
        """How many data engines failed, so that no card was requested. One that was cut off has not failed."""
        totals = (self.engines[name] for name in DATA_ENGINES if name in self.engines)
        return sum(engine.failed > engine.cut_off for engine in totals)

    @property
    def set_aside(self) -> tuple[SetAside, ...]:
        """The card types that the latest attempt set aside; empty if it has not closed the record."""
        return self.attempts[-1].set_aside if self.attempts and self.ended is not None else ()

    @property
    def continued(self) -> bool:
        """Whether the latest listed attempt was not the first. A killed first attempt leaves only the run's start."""
        if len(self.attempts) != 1:
            return len(self.attempts) > 1
        return datetime.fromisoformat(self.attempts[0].started) > datetime.fromisoformat(self.started)


def report_of(
    inputs: RunInputs,
    ledger: Ledger,
    attempts: Sequence[AttemptSummary] = (),
    *,
    state: Outcome | None = None,
    since: Comparison | None = None,
    faults: Sequence[Fault] = (),
    **more: object,
) -> RunReport:
    """The report of any run: live, closed, killed, refused, busy or not recorded.

    `attempts` are those that closed the record; the last of them is the latest, unless the run is in a `state` instead.
    A run without a plan has the ledger of an empty plan. `since` is the comparison with the night before. `more` has
    fields of the report that do not follow from these.
    """
    last = attempts[-1] if state is None else None
    totals, cards, failures = ledger.totals(), ledger.counts("qa"), ledger.failures
    listed = sum(ledger.items[call.engine].has_failed(item) for call in failures for item in call.items)
    missing = tuple(_missing(item) for item in islice(ledger.items["qa"].missing(), MISSING_LISTED))
    remade = sorted(ledger.remakes.cards(), key=lambda card: -inf if card[2] is None else -card[2])  # the latest first
    outcome = last.outcome if last else state or Outcome.KILLED
    report = RunReport(
        run_id=inputs.run_id,
        day=inputs.day,
        date=inputs.date,
        started=inputs.started,
        ended=last.ended if last else None,
        seconds=last.seconds if last else None,
        outcome=outcome,
        exit_code=last.exit_code if last else None,
        sentence=last.sentence if last else message(outcome.about.sentence, made=cards.done, planned=cards.planned),
        cards=totals["qa"].cards() if "qa" in totals else CardTotals(),
        engines=totals,
        failures=tuple(FailedCall.of(call) for call in failures),
        failures_not_listed=sum(engine.failed for engine in totals.values()) - listed,
        missing=missing,
        missing_not_listed=cards.planned - cards.done - len(missing),
        asked_again=len(remade),
        made_again=sum(made is not None for _, _, made in remade),
        remade=tuple(_remade(*card, inputs.zone) for card in remade[:REMADE_LISTED]),
        faults=tuple(ReportedFault.of(fault) for fault in faults[:FAULTS_LISTED]),
        faults_not_listed=max(0, len(faults) - FAULTS_LISTED),
        attempts=tuple(attempts),
        left_plan=ledger.left_plan,
        outdated_cards=len(ledger.outdated_cards),
        left_out=tuple(target.id for target in ledger.plan.left_out),
        at_fault=targets_at_fault(ledger) if outcome is Outcome.DATA_ENGINE_FAILED else (),
        since_last_night=since,
        config_uri=inputs.config_uri,
        config_generations={name: kept.generation for name, kept in sorted(inputs.objects.items())},
        version=VERSION,
        commit=COMMIT,
        trace_id=RunIdentity(inputs.run_id).trace_id,
        project=inputs.project,
        region=inputs.region,
        job=inputs.job,
        runs_uri=inputs.runs_uri,
    )
    return report.model_copy(update=more)


def totals_of(report: RunReport, ledger: Ledger) -> Mapping[str, object]:
    """How this attempt ended, and its totals, for programs: in the last line of the log and in the message."""
    totals = ledger.totals(now=True)
    cards = totals["qa"].cards() if "qa" in totals else CardTotals()
    return {
        "outcome": report.outcome,
        "exit_code": report.exit_code,
        "cards": cards.model_dump(),
        "engines": {name: engine.model_dump() for name, engine in totals.items()},
        **({"asked_again": report.asked_again, "made_again": report.made_again} if report.asked_again else {}),
    }


def not_recorded(report: RunReport, unrecorded: int | None) -> RunReport:
    """The report of a run whose record could not be closed: it lacks so many results; `None` if it was closed.

    The sentence then says so. The exit code stays the same: if all cards were made, a failure would make Cloud Run try
    again, and the cards would be paid for twice.
    """
    return report.model_copy(update={"sentence": lacking(report.sentence, unrecorded), "unrecorded": unrecorded})


def _missing(item: MissingItem) -> MissingCard:
    return MissingCard(target=item.target, card_type=item.card_type or "", state=item.state, cause=item.cause)


def _remade(target: str, card_type: str, made: float | None, zone: tzinfo | None) -> RemadeCard:
    when = None if made is None else datetime.fromtimestamp(made, zone).isoformat(timespec="seconds")
    return RemadeCard(target=target, card_type=card_type, made=when)


def remade_lines(report: RunReport) -> Iterator[Message]:
    """The cards that a person has asked to have made again, in sentences: those that were, and those that were not."""
    made = [
        f"{card.target}/{card.card_type} ({clock(datetime.fromisoformat(card.made), report.day)})"
        for card in report.remade
        if card.made is not None
    ]
    left = [f"{card.target}/{card.card_type}" for card in report.remade if card.made is None]
    if not_made := report.asked_again - report.made_again:
        yield plural(
            "1 card was not made again: {names}",
            "{count} cards were not made again: {names}",
            count=not_made,
            names=listed(left, not_made),
        )
    if report.made_again:
        yield plural(
            "1 card was made again: {names}",
            "{count} cards were made again: {names}",
            count=report.made_again,
            names=listed(made, report.made_again),
        )


def read_report(name: str, data: bytes) -> RunReport:
    """The report that an object of this name holds. Raises `RecordError`, also if it contradicts itself."""
    check_report_format(name, data)
    try:
        report = RunReport.model_validate_json(data)
    except ValidationError as error:
        raise RecordError(not_valid(name, error.error_count())) from error
    if (problem := _contradiction(report)) is not None:
        raise RecordError(message("{object} is not what a run writes: {problem}", object=name, problem=problem))
    return report


class _Format(Part):
    """The field that reports of all formats have."""

    format: int


def check_report_format(name: str, data: bytes) -> None:
    """Raises `RecordError` for a report of another format. Ignores data that is not a report."""
    with suppress(ValidationError):
        check_format(name, {"format": _Format.model_validate_json(data).format})


def earlier_report(data: bytes) -> RunReport | None:
    """The report of an earlier attempt; `None` if it cannot be read, or if the run had no plan."""
    try:
        report = read_report("", data)
    except RecordError:
        return None
    return None if report.outcome is Outcome.BAD_CONFIG else report


def _contradiction(report: RunReport) -> Message | None:
    """A contradiction within the report; `None` if there is none."""
    last = report.attempts[-1] if report.attempts else None
    if last is None or (last.outcome, last.exit_code) != (report.outcome, report.exit_code):
        return message("its outcome is not that of its last attempt")
    if str(last.sentence) not in {"", str(report.sentence)}:  # a report of an earlier version has none
        return message("its sentence is not that of its last attempt")
    if (report.outcome.about.exit == ExitCode.DONE) is not (report.exit_code == ExitCode.DONE):
        return message("its exit code is not that of its outcome")
    for name, engine in report.engines.items():
        parts = (engine.done, engine.skipped, engine.failed, engine.not_attempted)
        if sum(parts) != engine.planned or engine.cut_off > engine.failed:
            return message("the totals of {engine} do not add up", engine=name)
        if report.outcome is Outcome.SUCCEEDED and engine.done + engine.skipped < engine.planned:
            return message("it succeeded, and {engine} did not do everything", engine=name)
    cards = report.engines["qa"].cards() if "qa" in report.engines else CardTotals()
    return None if report.cards == cards else message("the totals of the cards are not those of qa")


def summary_of(report: RunReport, ledger: Ledger, before: NightBefore | None) -> RunSummary:
    """The summary of a run that has ended, `summary.json`, from its report and its results.

    It is also a function of the night before: since when an item has been missing.
    """
    summary = RunSummary(
        run_id=report.run_id,
        day=report.day,
        date=report.date,
        config_uri=report.config_uri,
        started=report.started,
        ended=report.ended,
        outcome=report.outcome,
        exit_code=report.exit_code,
        sentence=shortened(str(report.sentence), _SENTENCE_LIMIT),
        seconds=report.seconds,
        attempt=report.attempt,
        journal=report.journal,
        attempts=len(report.attempts) + (report.continued and len(report.attempts) == 1),
        cards=report.cards,
        asked_again=report.asked_again,
        made_again=report.made_again,
        engines=report.engines,
        phases=_phases(ledger),
        card_seconds=_medians(ledger),
    )
    left = SUMMARY_LIMIT - len(pack_summary(summary))
    groups, not_listed = _missing_groups(report.day, ledger, before, left)
    return summary.model_copy(update={"missing": groups, "missing_not_listed": not_listed})


def _missing_groups(
    day: str, ledger: Ledger, before: NightBefore | None, left: int
) -> tuple[tuple[MissingGroup, ...], int]:
    """The missing items in groups, as many as fit into `left` bytes, and the number of further ones."""
    groups: dict[tuple[object, ...], list[str]] = {}
    total = sum(items.planned - items.counts().done for items in ledger.items.values())
    listed = 0
    engines = ledger.items.items()
    failed = ((engine, item) for engine, items in engines for item in items.failures())
    others = ((engine, item) for engine, items in engines for item in items.missing() if item.state != "failed")
    for engine, item in chain(failed, others):
        then = before.listed.get((engine, item.target, item.card_type)) if before else None
        cause = item.cause if item.state == "failed" else then.cause if then else None
        since, nights = (then.since, then.nights + 1) if then else (day, 1)
        key = (engine, item.card_type, item.state, cause, since, nights)
        left -= len(to_json(item.target)) + 1 + (0 if key in groups else _GROUP_BYTES)
        if left < 0:
            break
        groups.setdefault(key, []).append(item.target)
        listed += 1
    names = ("engine", "card_type", "state", "cause", "since", "nights")
    made = (
        MissingGroup.model_validate({**dict(zip(names, key, strict=True)), "targets": tuple(targets)})
        for key, targets in groups.items()
    )
    return tuple(made), total - listed


def _medians(ledger: Ledger) -> dict[str, float]:
    medians = {card_type: statistics.median(seconds) for card_type, seconds in ledger.card_seconds.items()}
    slowest = sorted(medians.items(), key=lambda one: -one[1])[:CARD_TYPES_LISTED]
    return {card_type: round(seconds, 3) for card_type, seconds in slowest}


def _phases(ledger: Ledger) -> dict[Phase, float]:
    phases: Mapping[Phase, Sequence[EngineName]] = {"data": DATA_ENGINES, "cards": ("qa",)}
    return {phase: round(seconds, 3) for phase, engines in phases.items() if (seconds := _busy(ledger, engines))}


def _busy(ledger: Ledger, engines: Sequence[EngineName]) -> float:
    """The seconds in which at least one call of these engines was in flight."""
    spans = chain.from_iterable(ledger.lanes[engine].spans() for engine in engines)
    return sum(ended - began for began, ended in busy_stretches(spans))

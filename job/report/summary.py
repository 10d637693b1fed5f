"""Summary of a run, `summary.json`: what later runs need to know of it, in 256 KiB at most."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from job.config.entries import Date
from job.config.fields import RunId
from job.engines.catalog import EngineName
from job.ledger.items import MissingState
from job.ledger.totals import CardTotals, Count, EngineTotals, Part, Seconds
from job.planning.plan import Plan
from job.report.format import FORMAT, OF_OTHER_RUN, RecordError, Stamp, not_valid, of_other_format
from job.report.outcome import Outcome
from job.text.messages import Message, message

SUMMARY_LIMIT = 256 * 1024
"""Bytes."""

Word = Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]
"""A word for machines."""
Shown = Annotated[str, Field(pattern=r"^[^\p{Cc}\p{Zl}\p{Zp}\u{202A}-\u{202E}\u{2066}-\u{2069}]*$")]
"""Text without control characters and changes of direction: a run writes none, and pages and terminals show it."""
Phase = Literal["data", "cards"]
PHASES: tuple[Phase, ...] = ("data", "cards")
ItemKey = tuple[EngineName, str, str | None]
"""Engine, target, and card type if it is a card."""


class MissingGroup(Part):
    """Items that are not done and that have these values in common."""

    engine: EngineName
    card_type: Shown | None = None
    state: MissingState
    cause: Word | None = None
    """Why they failed last, this night or an earlier one; `None` if they never failed."""
    since: Date
    """The day since which they have been missing on every night."""
    nights: Count = 1
    """The number of these nights, this one included."""
    targets: tuple[Shown, ...]


class RunSummary(Part):
    """The whole of `summary.json`."""

    format: int = FORMAT
    run_id: RunId
    day: Date
    date: Date | None
    config_uri: Shown
    started: Stamp
    ended: Stamp | None
    outcome: Outcome
    exit_code: int | None
    sentence: Shown = ""
    seconds: Seconds | None = None
    """How long the latest attempt took."""
    attempts: Count | None = None
    """The number of known attempts. This, `seconds` and `attempt` are `None` in a summary of an earlier version."""
    attempt: Count | None = None
    """As in `RunReport`, and `journal` too."""
    journal: dict[str, Count] = Field(default_factory=dict)
    cards: CardTotals = CardTotals()
    asked_again: Count = 0
    """As in `RunReport`, and `made_again` too."""
    made_again: Count = 0
    engines: dict[EngineName, EngineTotals] = Field(default_factory=dict)
    phases: dict[Phase, Seconds] = Field(default_factory=dict)
    """The seconds in which calls of the phase were in flight; without phases that had no call."""
    card_seconds: dict[Shown, Seconds] = Field(default_factory=dict)
    """For each card type, the median seconds of the cards that were made; the slowest types first."""
    missing: tuple[MissingGroup, ...] = ()
    """Failed items first."""
    missing_not_listed: Count = 0

    @property
    def planned(self) -> tuple[int, int]:
        """The number of planned cards, and of all planned items, with those that a person has left out."""
        cards = self.cards.planned + self.cards.left_out
        return cards, sum(engine.planned + engine.left_out for engine in self.engines.values())

    @property
    def is_complete(self) -> bool:
        """Whether all planned items are done, by their numbers, whatever the outcome."""
        return all(engine.done + engine.skipped == engine.planned for engine in self.engines.values())


@dataclass(frozen=True, slots=True)
class NightBefore:
    """The night that a run is compared with."""

    summary: RunSummary
    plan: Plan | None
    """`None` if its inputs cannot be used."""
    listed: Mapping[ItemKey, MissingGroup]
    """The group of each missing item that its summary lists."""
    left_out: frozenset[str] = frozenset()
    """The targets of the plan that a person had left out."""

    @classmethod
    def of(cls, summary: RunSummary, plan: Plan | None) -> "NightBefore":
        """The night with this summary and this plan, from which nothing is left out here."""
        listed = {(group.engine, name, group.card_type): group for group in summary.missing for name in group.targets}
        if plan is None:
            return cls(summary, None, listed)
        return cls(summary, plan.whole, listed, frozenset(target.id for target in plan.left_out))


def pack_summary(summary: RunSummary) -> bytes:
    """The bytes of `summary.json`."""
    return summary.model_dump_json().encode() + b"\n"


def read_summary(name: str, data: bytes, run_id: str) -> RunSummary:
    """The summary in the object of this name. Raises `RecordError`."""
    if len(data) > SUMMARY_LIMIT:
        raise RecordError(message("{object} is larger than {count} KiB", object=name, count=SUMMARY_LIMIT >> 10))
    try:
        summary = RunSummary.model_validate_json(data)
    except ValidationError as error:
        raise RecordError(not_valid(name, error.error_count())) from error
    if summary.format != FORMAT:
        raise RecordError(of_other_format(name, summary.format))
    if summary.run_id != run_id:
        raise RecordError(message(OF_OTHER_RUN, object=name, run=summary.run_id))
    return summary


OFTEN_SHOWN = 20
EngineState = Literal["good", "warn", "bad", "none"]
"""All done; not all done; some failed; nothing planned, or not known."""
MARKS: Mapping[EngineState, str] = {"good": "✓", "warn": "–", "bad": "✗", "none": ""}
"""A mark for each state, for readers who cannot distinguish the colours."""


def state_of(totals: EngineTotals | None) -> EngineState:
    """The state of one engine in one run."""
    if totals is None or not totals.planned:
        return "none"
    if totals.done + totals.skipped >= totals.planned:
        return "good"
    return "bad" if totals.failed > totals.cut_off else "warn"


@dataclass(frozen=True, slots=True)
class Often:
    """An item that failed on several nights."""

    engine: EngineName
    target: str
    card_type: str | None
    nights: int
    last: str
    """The day on which it failed last."""
    cause: str

    @property
    def name(self) -> str:
        """The item in one line."""
        return f"{self.engine}: {self.target}" if self.card_type is None else f"{self.target} {self.card_type}"


def most_often(summaries: Iterable[RunSummary]) -> tuple[Sequence[Often], int]:
    """The items that failed on most nights, and the number of further ones that failed.

    Of equal counts the one that failed last is first.
    """
    seen: set[tuple[ItemKey, str]] = set()
    counts: Counter[ItemKey] = Counter()
    latest: dict[ItemKey, tuple[str, str]] = {}
    for summary in summaries:
        for group in summary.missing:
            if group.state == "failed":
                for target in group.targets:
                    key = (group.engine, target, group.card_type)
                    if (key, summary.day) not in seen:
                        seen.add((key, summary.day))
                        counts[key] += 1
                        latest[key] = max(latest.get(key, ("", "")), (summary.day, group.cause or ""))
    first = sorted(counts, key=lambda key: (counts[key], latest[key]), reverse=True)[:OFTEN_SHOWN]
    return [Often(*key, counts[key], *latest[key]) for key in first], len(counts) - len(first)


def more_often_line(count: int) -> Message:
    """How many items failed besides those that are listed, and where they are named."""
    return message("And {count} more: the page of each run names what failed.", count=count)

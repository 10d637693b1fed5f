"""Summary of a run, `summary.json`: what later runs need to know of it, in 256 KiB at most."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, ValidationError

from job.config.entries import Date
from job.config.fields import RunId
from job.engines.catalog import EngineName
from job.execution.progress import CardTotals, Count, EngineTotals, Part, Seconds
from job.planning.items import MissingState
from job.planning.plan import Plan
from job.records.format import FORMAT, RecordError, Stamp, Word
from job.text.display import counted

SUMMARY_LIMIT = 256 * 1024
"""Bytes."""

Phase = Literal["data", "cards"]
PHASES: tuple[Phase, ...] = ("data", "cards")
ItemKey = tuple[EngineName, str, str | None]
"""Engine, target, and card type if it is a card."""


class MissingGroup(Part):
    """Items that are not done and that have these values in common."""

    engine: EngineName
    card_type: str | None = None
    state: MissingState
    cause: str | None = None
    """Why they failed last, this night or an earlier one; `None` if they never failed."""
    since: Date
    """The day since which they have been missing on every night."""
    nights: Count = 1
    """The number of these nights, this one included."""
    targets: tuple[str, ...]


class RunSummary(Part):
    """The whole of `summary.json`."""

    format: int = FORMAT
    run_id: RunId
    day: Date
    date: Date | None
    config_uri: str
    started: Stamp
    ended: Stamp | None
    outcome: Word
    exit_code: int | None
    sentence: str = ""
    cards: CardTotals = CardTotals()
    engines: dict[EngineName, EngineTotals] = Field(default_factory=dict)
    phases: dict[Phase, Seconds] = Field(default_factory=dict)
    """The seconds in which calls of the phase were in flight; without phases that had no call."""
    card_seconds: dict[str, Seconds] = Field(default_factory=dict)
    """For each card type, the median seconds of the cards that were made; the slowest types first."""
    missing: tuple[MissingGroup, ...] = ()
    """Failed items first."""
    missing_not_listed: Count = 0

    @property
    def planned(self) -> tuple[int, int]:
        """The number of planned cards, and of all planned items."""
        return self.cards.planned, sum(engine.planned for engine in self.engines.values())


@dataclass(frozen=True, slots=True)
class NightBefore:
    """The night that a run is compared with."""

    summary: RunSummary
    plan: Plan | None
    """`None` if its inputs cannot be used."""
    listed: Mapping[ItemKey, MissingGroup]
    """The group of each missing item that its summary lists."""

    @classmethod
    def of(cls, summary: RunSummary, plan: Plan | None) -> "NightBefore":
        """The night with this summary and this plan."""
        listed = {(group.engine, name, group.card_type): group for group in summary.missing for name in group.targets}
        return cls(summary, plan, listed)


def pack_summary(summary: RunSummary) -> bytes:
    """The bytes of `summary.json`."""
    return summary.model_dump_json().encode() + b"\n"


def read_summary(name: str, data: bytes, run_id: str) -> RunSummary:
    """The summary in the object of this name. Raises `RecordError`."""
    if len(data) > SUMMARY_LIMIT:
        raise RecordError(f"{name} is larger than {SUMMARY_LIMIT >> 10} KiB")
    try:
        summary = RunSummary.model_validate_json(data)
    except ValidationError as error:
        raise RecordError(f"{name} is not what a run writes ({counted(error.error_count(), 'fault')})") from error
    if summary.format != FORMAT:
        raise RecordError(f"{name} has format {summary.format}; this version of the job knows {FORMAT}")
    if summary.run_id != run_id:
        raise RecordError(f"{name} belongs to run {summary.run_id}")
    return summary

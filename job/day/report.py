"""Report: the facts of a day after an attempt. `day/summary` makes it, `ends/` stores it, every output words it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from job.config.faults import Fault, FaultKind
from job.config.values import Date
from job.day.attempt import ExitCode, Outcome, Severity, Stamp, Start
from job.day.result import Count, Counts, MissingState, Seconds
from job.engines.calls import DATA_ENGINES, EngineName, Item
from job.engines.failures import FailureKind, handling_of
from job.text.messages import Message, colon

REPORT = "report.json"
PAGE = "report.html"
CARDS = "cards.csv"
NIGHTS_PAGE = "index.html"
"""Stored beside the days."""
MISSING_LISTED = 1_000
"""How many missing items a report lists: lists of nights read many."""
TARGETS_LISTED = 50
"""How many targets a group of failures or a change lists; there are a few such groups."""
ANSWERS_TOLD = 3

Phase = Literal["data", "cards"]
PHASES: Mapping[Phase, tuple[EngineName, ...]] = {"data": DATA_ENGINES, "cards": ("qa",)}
Word = Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]


class MissingGroup(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    engine: EngineName
    card_type: str | None = None
    state: MissingState
    cause: Word | None = None
    """Why they failed last; `None` if they did not."""
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TargetItems:
    """Items of one target: its data, or some of its cards."""

    target: str
    card_types: tuple[str, ...] = ()
    """Empty for data."""


@dataclass(frozen=True, slots=True)
class Items:
    """Items by their targets, in their order. Of many, the first `TARGETS_LISTED` targets are listed."""

    count: Count = 0
    targets_count: Count = 0
    targets: tuple[TargetItems, ...] = ()

    @classmethod
    def of(cls, items: Iterable[Item]) -> "Items":
        count, found = 0, dict[str, list[str]]()
        for _, target, card_type in items:
            count += 1
            types = found.setdefault(target, [])
            if card_type is not None:
                types.append(card_type)
        listed = list(found.items())[:TARGETS_LISTED]
        return cls(count, len(found), tuple(TargetItems(target, tuple(types)) for target, types in listed))


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """What failed alike."""

    engines: tuple[EngineName, ...]
    """Several only if the cause is not one of them."""
    cause: Word | None
    answers: tuple[Message, ...]
    """The most frequent last answers, or why there was none."""
    items: Items
    status: Count | None = None
    account: str | None = None
    """The account that was denied access."""
    is_down: bool = False
    """Whether the engines did nothing at all: then no target is to blame."""
    is_cut_off: bool = False
    """Whether tries of all of it failed, and it was cut off before it had failed for good."""
    was_made: bool = False
    """Whether it is known that all of it was made on the night before."""

    @property
    def is_refused(self) -> bool:
        """Whether the engine has refused the calls: as they are, or whoever makes them."""
        if self.status is None:
            return False
        return handling_of(self.cause, self.status).kind is FailureKind.REFUSED or self.status in {401, 403}


@dataclass(frozen=True, slots=True)
class Change:
    """What has changed since the night before: cards are no longer asked for, targets are of another kind, or cards are
    made with other models.
    """

    kind: Literal["gone", "other_kind", "other_model"]
    cards: Count
    """How many cards it is about."""
    items: Items = Items()
    """These cards; empty for `other_model`, which is about all."""
    before: str = ""
    """The kind of the targets, or the names of the models, on that night; empty for `gone`."""
    after: str = ""


class Report(Start):
    """How a day stands after an attempt. Totals are of all attempts at the day; what failed has failed in this one."""

    outcome: Outcome
    exit_code: ExitCode | None
    """`None` for a state."""
    detail: Message | None = None
    """What the call that has ended it, or storage, was answered; or which other start is at work. Not for chats."""
    ended: Stamp | None
    """`None` for a state."""
    seconds: Seconds | None
    faults: tuple[Fault, ...] = ()
    """Why nothing was called, if the configuration could not be used."""
    faults_not_listed: Count = 0
    journal: dict[int, Count] = Field(default_factory=dict)
    """How many objects of results there are of each attempt, by its number."""
    not_written: tuple[str, ...] = ()
    """The documents that could not be written: the next start writes them."""
    engines: dict[EngineName, Counts] = Field(default_factory=dict)
    """Those that the plan uses; empty without a plan."""
    asked_again: Count = 0
    """Number of cards that people have asked to have made again; `made_again` of them were."""
    made_again: Count = 0
    perhaps_charged: Count = 0
    """Number of missing cards of which an answer was lost: they may be made, and paid for."""
    charged_tries: Count = 0
    """Number of tries at these cards of which each may have been charged."""
    qa_failed_seconds: Seconds | None = None
    """For how long the QA engine had done no call, if the start has ended for that."""
    refused: bool = False
    """Whether an engine has refused what is left, as it is: then a start fails again until that is corrected."""
    at_fault: tuple[str, ...] = ()
    """The targets that a person may leave out, as `targets_at_fault` finds them."""
    failures: tuple[FailureGroup, ...] = ()
    """What failed, the largest group first."""
    compared_with: Date | None = None
    """The night before, if it is known."""
    changes: tuple[Change, ...] = ()
    """What has changed since."""
    changed_objects: tuple[str, ...] = ()
    """The config objects that were written since, or CONFIG_URI if that is another one."""
    phases: dict[Phase, Seconds] = Field(default_factory=dict)
    """The seconds from the first call of the phase to its end, of all attempts; without phases that had no call."""
    missing: tuple[MissingGroup, ...] = ()
    """Failed items first."""
    missing_not_listed: Count = 0

    # What is only known at work, and not recorded.
    why: Message | None = Field(default=None, exclude=True)
    """Why it did not begin, if that is known."""
    done_since: datetime | None = Field(default=None, exclude=True)
    """Since when the day has been done, if nothing was left for this start."""
    breaks_off: datetime | None = Field(default=None, exclude=True)
    """When the record of a killed start breaks off."""
    is_repeated: bool = Field(default=False, exclude=True)
    """Whether an earlier try of this execution has ended so, and this one called nothing."""

    @property
    def facts(self) -> Mapping[str, object]:
        """All that is recorded of it."""
        return {name: getattr(self, name) for name, field in type(self).model_fields.items() if not field.exclude}

    def to_json(self) -> bytes:
        """As it is stored in `ends/`."""
        return to_json(self.facts) + b"\n"

    @property
    def cards(self) -> Counts:
        return self.engines.get("qa", Counts())

    @property
    def answers(self) -> tuple[Message, ...]:
        """The last answer to what failed, of each engine and kind of failure, the most frequent first."""
        answered = (group for group in self.failures if group.answers)
        return tuple(colon(group.engines[0], group.answers[0]) for group in answered)[:ANSWERS_TOLD]

    @property
    def loud_changes(self) -> list[Change]:
        """Those that make a success a warning."""
        return [change for change in self.changes if change.kind != "other_model"]

    @property
    def severity(self) -> Severity:
        """How grave it is: a success is good only if no engine reported an error besides, no change is loud, and it was
        not done before its own time.
        """
        is_odd = self.was_early or self.loud_changes or any(counts.with_error for counts in self.engines.values())
        return "warn" if is_odd and self.outcome.severity == "good" else self.outcome.severity

    @property
    def was_early(self) -> bool:
        """Whether a start in its own time found it done, before that time, as by another schedule."""
        is_current = self.day == self.days.current(datetime.fromisoformat(self.started))
        return self.done_since is not None and is_current and self.days.is_early(self.day, self.done_since)

    @property
    def had_plan(self) -> bool:
        return bool(self.engines)

    @property
    def is_made_but_again(self) -> bool:
        """Whether all that is missing was made, and people have asked to have it made again."""
        return 0 < self.cards.missing == self.asked_again - self.made_again

    @property
    def is_of_command(self) -> bool:
        """Whether the command or its image was faulty: only who gave it can correct it, and its retry is refused."""
        return not {fault.kind for fault in self.faults}.isdisjoint({FaultKind.COMMAND, FaultKind.IMAGE})

    @property
    def done_at(self) -> datetime | None:
        """When the attempt ended that found everything done; `None` if something is missing."""
        if self.ended is None or self.outcome is not Outcome.SUCCEEDED:
            return None
        return self.done_since or datetime.fromisoformat(self.ended)

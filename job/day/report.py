"""Report: how a day stands after an attempt. `telling/reporting` makes it, `ends/` stores it, every output shows it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from itertools import chain
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import to_json

from job.config.faults import Fault, FaultKind
from job.config.values import Date
from job.day.attempt import ExitCode, Outcome, Severity, Stamp, Start
from job.day.ledger import ItemStatus, Ledger
from job.day.result import Count, Counts, MissingState, Seconds
from job.engines.calls import DATA_ENGINES, EngineName, Item
from job.text.messages import Message

REPORT = "report.json"
PAGE = "report.html"
CARDS = "cards.csv"
NIGHTS_PAGE = "index.html"
"""Stored beside the days."""
END_LIMIT = 256 * 1024
"""Maximum bytes of a report: lists of nights read many."""
_GROUP_BYTES = 300
"""Maximum bytes of a group without its targets."""

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
    since: Date
    """The day since which they have been missing on every night."""
    nights: Count = 1
    """The number of these nights, this one included."""
    targets: tuple[str, ...]

    @property
    def items(self) -> list[Item]:
        return [Item(self.engine, target, self.card_type) for target in self.targets]


class Report(BaseModel):
    """How a day stands after an attempt. Totals and lists are those of all attempts at the day together.

    As JSON, the fields of its start stand beside the others.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    start: Start
    outcome: Outcome
    exit_code: ExitCode | None
    """`None` for a state."""
    sentence: Message
    detail: Message | None = None
    """The answer behind it; not for chats."""
    notes: tuple[Message, ...] = ()
    changed: tuple[Message, ...] = ()
    """What was changed since the night before and has made the cards of this attempt other ones: told once a day."""
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
    refused: bool = False
    """Whether an engine has refused what is left, as it is: then a start fails again until that is corrected."""
    at_fault: tuple[str, ...] = ()
    """The targets that a person may leave out, as `targets_at_fault` finds them."""
    answers: tuple[Message, ...] = ()
    """The last answer to what failed, of each engine and kind of failure, the most frequent first."""
    phases: dict[Phase, Seconds] = Field(default_factory=dict)
    """The seconds from the first call of the phase to its end, of all attempts; without phases that had no call."""
    missing: tuple[MissingGroup, ...] = ()
    """Failed items first."""
    missing_not_listed: Count = 0

    @model_validator(mode="before")
    @classmethod
    def _nested(cls, stored: object) -> object:
        return {**stored, "start": stored} if isinstance(stored, dict) and "start" not in stored else stored

    @model_serializer(mode="wrap")
    def _flat(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        values = serialize(self)
        return {**values.pop("start"), **values}

    @property
    def day(self) -> str:
        return self.start.day

    @property
    def cards(self) -> Counts:
        return self.engines.get("qa", Counts())

    @property
    def severity(self) -> Severity:
        """How grave it is: a success is good only if no engine reported an error besides, and nothing was changed."""
        return "warn" if self.changed and self.severity_unchanged == "good" else self.severity_unchanged

    @property
    def severity_unchanged(self) -> Severity:
        """The same but for what was changed, of which the next good night is no news."""
        severity = self.outcome.severity
        return "warn" if severity == "good" and any(counts.with_error for counts in self.engines.values()) else severity

    @property
    def had_plan(self) -> bool:
        return bool(self.engines)

    @property
    def is_of_command(self) -> bool:
        """Whether the command itself was faulty: only who gave it can correct it, and is told at once."""
        return any(fault.kind is FaultKind.COMMAND for fault in self.faults)

    @property
    def done_at(self) -> datetime | None:
        """When the attempt ended that found everything done; `None` if something is missing."""
        return datetime.fromisoformat(self.ended) if self.ended and self.outcome is Outcome.SUCCEEDED else None

    def to_json(self) -> bytes:
        return self.model_dump_json().encode() + b"\n"

    def as_text(self) -> bytes:
        """The bytes of `report.json`, for other programs: each message is its English text."""

        def plain(value: object) -> object:
            """What has no JSON of its own."""
            if isinstance(value, BaseModel):
                return dict(value)
            if isinstance(value, Counts | Fault):
                return {field.name: getattr(value, field.name) for field in fields(value)}
            return str(value)

        # Card types were listed there by 0.2.0.
        values = {**dict(self.start), **dict(self), "set_aside": []}
        del values["start"], values["knows_days"]
        return json.dumps(values, default=plain, ensure_ascii=False, indent=1).encode()


def missing_groups(
    day: str, ledger: Ledger, then: Mapping[Item, MissingGroup], left: int
) -> tuple[tuple[MissingGroup, ...], int]:
    """The missing items in groups, as many as fit into `left` bytes, and the number of further ones.

    `then` are those of the night before.
    """
    groups: dict[tuple[object, ...], list[str]] = {}
    listed = 0
    failed = (status for status in _missing(ledger) if status.state == "failed")
    for status in chain(failed, (status for status in _missing(ledger) if status.state != "failed")):
        item, earlier = status.item, then.get(status.item)
        since, nights = (earlier.since, earlier.nights + 1) if earlier else (day, 1)
        key = (item.engine, item.card_type, status.state, status.cause, since, nights)
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
    return tuple(made), sum(1 for _ in _missing(ledger)) - listed


def _missing(ledger: Ledger) -> Iterator[ItemStatus]:
    return (status for engine in ledger.plan.engines() for status in ledger.missing(engine))


def phases_of(ledger: Ledger) -> dict[Phase, float]:
    phases: dict[Phase, float] = {}
    for phase, engines in PHASES.items():
        spans: dict[int, tuple[float, float]] = {}
        for call in chain.from_iterable(ledger.calls[engine] for engine in engines):
            began, ended = spans.get(call.attempt, (call.started, call.ended))
            spans[call.attempt] = min(began, call.started), max(ended, call.ended)
        if spans:
            phases[phase] = round(sum(ended - began for began, ended in spans.values()), 3)
    return phases

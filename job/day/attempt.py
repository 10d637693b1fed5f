"""Attempt: how a start began, as the record and its report have it."""

import json
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Annotated, Self, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from job.config.days import Days
from job.config.options import Options
from job.config.plan import Plan
from job.config.prepare import Prepared, make_plan
from job.config.validators import Date
from job.config.values import CardUrl, Schedule, must_be_printable
from job.day.counts import Count
from job.day.format import FORMAT, Stamp, altered, attempt_name, check_format
from job.day.ledger import Rerun
from job.engines.catalog import EngineName
from job.engines.identity import COMMIT, VERSION, new_trace_id
from job.storage.uri import absolute


def _check_zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ValueError, OSError, LookupError) as error:  # what zoneinfo raises depends on how the name is wrong
        raise ValueError("no time zone") from error


Printable = Annotated[str, BeforeValidator(must_be_printable)]
TraceId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class Start(BaseModel):
    """How a start began. No secret is in it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: int = FORMAT
    day: Date
    number: Count = 0
    """The number of its attempt; 0 if none of it is known to be recorded, which proves nothing."""
    began: Stamp
    """When the first attempt at the day began."""
    started: Stamp
    """When this one began."""
    zone: Annotated[str, AfterValidator(_check_zone)]
    """The name of its time zone."""
    schedule: Schedule | None = None
    """The schedule that decided its day, unless it was named: from these two, a laptop knows which day is current."""
    knows_days: bool = Field(default=True, exclude=True)
    """Whether the zone and the schedule are known, and not only taken for granted: of a start that is recorded."""
    trace_id: TraceId
    """Drawn at random by the first attempt at the day; all attempts have the same, and so the same idempotency keys."""
    execution: str | None = None
    task_attempt: Count = 0
    arguments: tuple[str, ...] = ()
    """Of its command line."""
    job: str | None = None
    """The Cloud Run job, if it started there; `region` and `project` are of that job."""
    region: str | None = None
    project: str | None = None
    start_with: str | None = None
    """START_WITH: the beginning of the command that starts the job, if it is not the job's own."""
    config_uri: Printable
    generations: dict[str, str] = Field(default_factory=dict)
    """The generation of each config object that was used."""
    without: tuple[str, ...] = ()
    """The targets that a person has left out of this attempt; in a report those of which something is not there."""
    card_url: CardUrl | None = None
    version: str
    commit: str | None = None

    @classmethod
    def of(cls, options: Options, known_days: Days | None) -> Self:
        """A start for a day of these days, `None` while they are not known, with a trace id of its own."""
        settings = options.settings
        days = known_days or settings.days()
        day, _ = options.day(days)
        stamp = options.now.astimezone(days.zone).isoformat(timespec="seconds")
        return cls(
            day=day,
            began=stamp,
            started=stamp,
            zone=days.zone.key,
            schedule=days.schedule,
            knows_days=known_days is not None,
            trace_id=new_trace_id(),
            execution=settings.execution,
            task_attempt=settings.task_attempt,
            arguments=options.arguments,
            job=settings.job,
            region=settings.region,
            project=settings.project,
            start_with=settings.start_with,
            config_uri=absolute(settings.config_uri) if settings.config_uri else "",
            card_url=settings.card_url,
            version=VERSION,
            commit=COMMIT,
        )

    def with_config(self, prepared: Prepared) -> Self:
        """The same, once its config is read."""
        generations = {name: stored.generation for name, stored in sorted(prepared.objects.items())}
        left_out = prepared.plan.left_out
        without = tuple(target.id for target in prepared.plan.targets if target.id in left_out)
        return self.model_copy(update={"generations": generations, "without": without})

    @property
    def names_day(self) -> bool:
        """Whether its command names the day."""
        return any(one.startswith("--date") for one in self.arguments)

    @property
    def known_day(self) -> str | None:
        """Its day, if that was named or its days are known."""
        return self.day if self.knows_days or self.names_day else None

    @property
    def days(self) -> Days:
        """The days of its schedule."""
        return Days(ZoneInfo(self.zone), self.schedule)

    @property
    def offset(self) -> tzinfo | None:
        """Its time zone, as an offset from UTC."""
        return datetime.fromisoformat(self.started).tzinfo


class Attempt(Start):
    """An attempt in the record of a day, as it began. It is never changed.

    It carries forward what the next attempt needs, so that only the latest one has to be read.
    """

    owner: str
    """Unique to its process: two starts never write the same attempt."""
    objects: dict[str, str]
    """The content of each config object, from which the plan can be made again."""
    batch_sizes: dict[EngineName, Annotated[int, Field(ge=1, le=1000)]]
    plan: str
    """The digest of its plan."""
    cards: Count
    """How many cards it plans."""
    again: tuple[Rerun, ...] = ()
    """What people have asked to have made again, in this attempt and in all before."""
    asked_by: tuple[str, ...] = ()
    """The executions whose first try has asked for something again."""

    def made_plan(self) -> Plan:
        """The plan of the attempt."""
        contents = {name: text.encode() for name, text in self.objects.items()}
        plan, _ = make_plan(contents, self.day, self.batch_sizes)
        return plan.without(self.without)

    def packed(self) -> bytes:
        """The bytes of its object."""
        return self.model_dump_json().encode() + b"\n"


def contents_of(prepared: Prepared) -> Mapping[str, str]:
    """The content of each config object, as an attempt has it."""
    return {name: stored.data.decode() for name, stored in prepared.objects.items()}


def read_attempt(day: str, number: int, data: bytes) -> Attempt:
    """The attempt in the object of this number. Raises `RecordError`."""
    return read_start(Attempt, attempt_name(day, number), day, number, data)


S = TypeVar("S", bound=Start)


def read_start(kind: type[S], name: str, day: str, number: int, data: bytes) -> S:
    """The attempt of this number, or its report, in the object of this name. Raises `RecordError`."""
    try:
        found = kind.model_validate_json(data)
    except ValidationError as error:
        check_format(name, *_format_of(data))  # a newer one may look different altogether
        raise altered(name) from error
    check_format(name, found.format, _written_by(found.version, found.commit))
    if (found.day, found.number) != (day, number):
        raise altered(name)
    return found


def _format_of(data: bytes) -> tuple[object, str]:
    """The format of an object, and what has written it, as far as that is known."""
    try:
        found = json.loads(data)
        return found["format"], _written_by(found.get("version"), found.get("commit"))
    except (ValueError, TypeError, LookupError, RecursionError):
        return FORMAT, ""


def _written_by(*version_and_commit: object) -> str:
    return " ".join(one[:50] for one in version_and_commit if isinstance(one, str))

"""Attempt: how a start began, as the record and its report have it; and how one can end."""

from datetime import datetime, timedelta, tzinfo
from enum import IntEnum, StrEnum
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import to_json

from job.config.days import Days
from job.config.environment import Options
from job.config.plan import Plan, make_plan
from job.config.read import PlannedConfig, RecordedConfig
from job.config.values import CardUrl, Date, Schedule, must_be_printable
from job.day.ledger import Rerun
from job.day.result import Count, Seconds
from job.engines.calls import ENGINES, EngineName
from job.engines.identity import COMMIT, VERSION, new_trace_id
from job.storage.store import StoredObject
from job.storage.uri import absolute
from job.text.shown import without_credentials

Severity = Literal["good", "warn", "bad"]


class ExitCode(IntEnum):
    """The exit codes. They are a contract with schedulers and people: the meaning of a code never changes."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    CARDS_MISSING = 3
    DEADLINE = 4
    UNFORESEEN = 70
    """A bug (`EX_SOFTWARE` of sysexits.h); its traceback is on standard error."""
    TEMPFAIL = 75
    SIGINT = 130
    SIGTERM = 143


class Outcome(StrEnum):
    """How an attempt ended, or in which state it is. The value is the word in records, logs and messages."""

    exit: ExitCode | None
    """`None` if it depends on the signal, and for a state."""
    severity: Severity

    def __new__(cls, word: str, code: ExitCode | None, severity: Severity) -> Self:
        outcome = str.__new__(cls, word)
        outcome._value_ = word
        outcome.exit, outcome.severity = code, severity
        return outcome

    SUCCEEDED = "succeeded", ExitCode.DONE, "good"
    CARDS_MISSING = "cards_missing", ExitCode.CARDS_MISSING, "bad"
    DATA_ENGINE_FAILED = "data_engine_failed", ExitCode.FAILED, "bad"
    QA_ENGINE_DOWN = "qa_engine_down", ExitCode.CARDS_MISSING, "bad"
    DEADLINE = "deadline", ExitCode.DEADLINE, "warn"
    INTERRUPTED = "interrupted", None, "warn"
    BUSY = "busy", ExitCode.TEMPFAIL, "warn"
    STORAGE_FAILED = "storage_failed", ExitCode.TEMPFAIL, "bad"
    BAD_CONFIG = "bad_config", ExitCode.USAGE, "bad"
    UNFORESEEN = "unforeseen", ExitCode.UNFORESEEN, "bad"
    AT_WORK = "at work", None, "warn"
    """A state: the latest attempt has not ended, and according to the lease it is at work. Else it was killed."""
    KILLED = "killed", None, "warn"
    UNREADABLE = "unreadable", None, "bad"
    OTHER_FORMAT = "other format", None, "good"
    """Another version of the job has recorded it, and this one does not read it."""


FORMAT = 2
"""The version of the record's format. A day of another format is finished with the image that wrote it."""


def _check_stamp(text: str) -> str:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or not 1970 <= moment.year < 9000:
        raise ValueError("no time of a run")
    return text


Stamp = Annotated[str, AfterValidator(_check_stamp)]
"""ISO 8601 with an offset. The range of years allows calculations without overflow."""


def _known(values: object) -> object:
    """Without engines that only a newer image has: where they were off, this one goes on with what that recorded."""
    return {name: value for name, value in values.items() if name in ENGINES} if isinstance(values, dict) else values


_KNOWN = BeforeValidator(_known)


class Start(BaseModel):
    """How a start began. No secret is in it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: int = FORMAT
    day: Date
    number: Count = 0
    """The number of its attempt; 0 if none of it is known to be recorded, which proves nothing."""
    began: Stamp
    started: Stamp
    zone: Annotated[str, AfterValidator(lambda name: ZoneInfo(name).key)]
    schedule: Schedule | None = None
    """The schedule that decided its day, unless it was named: from these two, a laptop knows which day is current."""
    knows_days: bool = Field(default=True, exclude=True)
    """Whether the zone and the schedule are known, and not only taken for granted: of a start that is recorded."""
    trace_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    """Drawn at random by the first attempt at the day; all attempts have the same, and so the same idempotency keys."""
    execution: str | None = None
    task_attempt: Count = 0
    max_retries: Count | None = None
    deadline: Seconds | None = None
    arguments: tuple[str, ...] = ()
    job: str | None = None
    region: str | None = None
    project: str | None = None
    start_with: str | None = None
    config_uri: Annotated[str, BeforeValidator(must_be_printable)]
    engine_urls: Annotated[dict[EngineName, str], _KNOWN] = Field(default_factory=dict)
    engine_audiences: Annotated[dict[EngineName, str], _KNOWN] = Field(default_factory=dict)
    qa_attempts: Count | None = None
    generations: dict[str, str] = Field(default_factory=dict)
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
            max_retries=settings.max_retries,
            deadline=settings.deadline,
            arguments=options.arguments,
            job=settings.job,
            region=settings.region,
            project=settings.project,
            start_with=settings.start_with,
            config_uri=absolute(settings.config_uri) if settings.config_uri else "",
            engine_urls={name: one.url for name, one in settings.engines.items() if one.url},
            engine_audiences={
                name: without_credentials(one.audience) for name, one in settings.engines.items() if one.audience
            },
            qa_attempts=settings.engines["qa"].attempts,
            card_url=settings.card_url,
            version=VERSION,
            commit=COMMIT,
        )

    def with_config(self, config: PlannedConfig) -> Self:
        generations = {name: stored.generation for name, stored in sorted(config.objects.items())}
        left_out = config.plan.left_out
        without = tuple(target.id for target in config.plan.targets if target.id in left_out)
        return self.model_copy(update={"generations": generations, "without": without})

    def place(self, engine: EngineName, name: Literal["url", "audience"]) -> str | None:
        return (self.engine_urls if name == "url" else self.engine_audiences).get(engine)

    @property
    def names_day(self) -> bool:
        return any(argument.startswith("--date") for argument in self.arguments)

    @property
    def has_retry(self) -> bool:
        """Whether Cloud Run starts its task once more if it fails, as far as that is known."""
        return self.execution is not None and self.task_attempt < (self.max_retries or 0)

    @property
    def known_day(self) -> str | None:
        return self.day if self.knows_days or self.names_day else None

    @property
    def days(self) -> Days:
        return Days(ZoneInfo(self.zone), self.schedule)

    @property
    def offset(self) -> tzinfo | None:
        return datetime.fromisoformat(self.started).tzinfo

    @property
    def ends_by(self) -> datetime | None:
        """When it has ended at the latest, with a minute for its record; `None` if it has no deadline."""
        if not self.deadline:
            return None
        return datetime.fromisoformat(self.started) + timedelta(seconds=self.deadline, minutes=1)


class Attempt(Start):
    """An attempt as it began, never changed. It carries all that the next one needs: only the latest is read."""

    batch_sizes: Annotated[dict[EngineName, Annotated[int, Field(ge=1, le=1000)]], _KNOWN]
    """Of each engine that there was: one that came later is in no plan of this attempt."""
    objects: dict[str, str]
    plan: str
    again: tuple[Rerun, ...] = ()
    """What people have asked to have made again, in this attempt and in all before."""
    asked_by: tuple[str, ...] = ()
    """The executions whose first try has asked for something again."""

    def to_json(self) -> bytes:
        return to_json(self.model_dump()) + b"\n"

    def plan_again(self) -> Plan:
        """The plan of its objects. Raises `ConfigError` if one of them is not sound."""
        plan, _ = make_plan(self.config.parse(), self.day, self.batch_sizes)
        return plan.without(self.without)

    @property
    def config(self) -> RecordedConfig:
        """What a start of its day goes on with, once that is over."""
        stored = {
            name: StoredObject(text.encode(), self.generations.get(name, ""), 0.0)
            for name, text in self.objects.items()
        }
        return RecordedConfig(stored, self.batch_sizes)

"""Environment: every variable of the job, read once; what a start was asked; and the limit of open files."""

import resource
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, field_validator

from job.config.days import Days
from job.config.faults import Fault, FaultKind, not_set, problems
from job.config.values import (
    Authorities,
    CardUrl,
    EngineUrl,
    HookUrl,
    Patience,
    PlaceUri,
    Schedule,
    TaskCount,
    must_be_printable,
    origin_of,
    parse_audience,
)
from job.engines.calls import ENGINES, EngineName
from job.storage.store import NAME_A_PLACE
from job.text.messages import Language, Message, message


def raise_open_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS allows less than the hard limit that it reports
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class EngineSettings(BaseModel):
    """The settings of one engine, as `job/reference.md` says. QA_ENGINE_TIMEOUT is `timeout` of the QA engine."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    name: EngineName
    url: EngineUrl | None = None
    audience: str | None = Field(default_factory=lambda earlier: earlier["url"] and origin_of(earlier["url"]))
    """The audience of the engine's ID tokens. If it is not of the URL's origin, the variable states both together."""
    timeout: float = Field(default_factory=lambda earlier: ENGINES[earlier["name"]].timeout, ge=1, le=3600)
    concurrency: int = Field(default_factory=lambda earlier: ENGINES[earlier["name"]].concurrency, ge=1, le=8192)
    attempts: int = Field(3, ge=1, le=20)
    patience: Patience = Field(1200.0, ge=0, le=86_400)
    per_minute: int | None = Field(None, ge=1, le=60_000)
    batch_size: int = Field(default_factory=lambda earlier: ENGINES[earlier["name"]].batch_size, ge=1, le=1000)

    _printable = field_validator("*", mode="before")(must_be_printable)

    @field_validator("audience")
    @classmethod
    def _audience(cls, text: str, info: ValidationInfo) -> str:
        url = info.data.get("url")  # `None` if it is not set or faulty
        return text if url is None else parse_audience(text, url)


class Settings(BaseModel):
    """The environment, parsed: `job/reference.md` says what each variable is, `validation_alias` is its name."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    config_uri: PlaceUri = Field("", validation_alias="CONFIG_URI")
    task_count: TaskCount = Field("1", validation_alias="CLOUD_RUN_TASK_COUNT")
    time_zone: ZoneInfo = Field(ZoneInfo("UTC"), validation_alias="RUN_TIME_ZONE")
    schedule: Schedule | None = Field(None, validation_alias="RUN_SCHEDULE")
    execution: str | None = Field(
        None, validation_alias="CLOUD_RUN_EXECUTION", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
    )
    engines: Mapping[EngineName, EngineSettings]
    runs_uri: PlaceUri | None = Field(None, validation_alias="RUNS_URI")
    deadline: float | None = Field(None, validation_alias="RUN_DEADLINE_SECONDS", ge=1, le=7 * 24 * 3600)
    task_attempt: int = Field(0, validation_alias="CLOUD_RUN_TASK_ATTEMPT", ge=0, le=1000)
    max_retries: int | None = Field(None, validation_alias="TASK_MAX_RETRIES", ge=0, le=1000)
    authorities: Authorities | None = Field(None, validation_alias="SSL_CERT_FILE")
    impersonate: str | None = Field(None, validation_alias="IMPERSONATE_SERVICE_ACCOUNT", pattern=r"^[^@\s]+@[^@\s]+$")
    project: str | None = Field(None, validation_alias="GOOGLE_CLOUD_PROJECT")
    region: str | None = Field(None, validation_alias="GOOGLE_CLOUD_REGION")
    job: str | None = Field(None, validation_alias="CLOUD_RUN_JOB")
    job_to_start: str | None = Field(None, validation_alias="JOB_TO_START")
    language: Language = Field("en", validation_alias="REPORT_LANGUAGE")
    log_format: Literal["json", "text"] = Field(
        default_factory=lambda earlier: "json" if earlier["job"] else "text", validation_alias="LOG_FORMAT"
    )
    start_with: str | None = Field(None, validation_alias="START_WITH")
    card_url: CardUrl | None = Field(None, validation_alias="CARD_URL")
    notify_url: HookUrl | None = Field(None, validation_alias="NOTIFY_URL")
    notify_secret: SecretStr | None = Field(None, validation_alias="NOTIFY_SECRET")
    notify_only: Literal["all", "failures"] = Field("all", validation_alias="NOTIFY_ONLY")
    notify_fault: Message | None = None
    """Not a variable: why no message can be sent although NOTIFY_URL is set."""
    notices: tuple[Message, ...] = ()
    """Not a variable: why the message about a run will not be as it was meant."""

    _printable = field_validator("*", mode="before")(must_be_printable)

    @property
    def batch_sizes(self) -> dict[EngineName, int]:
        return {name: engine.batch_size for name, engine in self.engines.items()}

    @property
    def says_days(self) -> bool:
        """Whether both variables are set that say which day it is, and sound."""
        return {"schedule", "time_zone"} <= self.model_fields_set

    def days(self, otherwise: Days | None = None) -> Days:
        """The days of RUN_TIME_ZONE and RUN_SCHEDULE; `otherwise` has what is not set."""
        zone = self.time_zone if otherwise is None or "time_zone" in self.model_fields_set else otherwise.zone
        return Days(zone, self.schedule or (otherwise.schedule if otherwise else None))


ENGINE_VARIABLES: Mapping[EngineName, Mapping[str, str]] = {
    "financial": {
        "url": "FINANCIAL_ENGINE_URL",
        "audience": "FINANCIAL_ENGINE_AUDIENCE",
        "timeout": "FINANCIAL_ENGINE_TIMEOUT",
        "concurrency": "FINANCIAL_ENGINE_CONCURRENCY",
        "patience": "FINANCIAL_ENGINE_PATIENCE",
        "per_minute": "FINANCIAL_ENGINE_PER_MINUTE",
        "batch_size": "FINANCIAL_ENGINE_BATCH_SIZE",
    },
    "trading": {
        "url": "TRADING_ENGINE_URL",
        "audience": "TRADING_ENGINE_AUDIENCE",
        "timeout": "TRADING_ENGINE_TIMEOUT",
        "concurrency": "TRADING_ENGINE_CONCURRENCY",
        "patience": "TRADING_ENGINE_PATIENCE",
        "per_minute": "TRADING_ENGINE_PER_MINUTE",
        "batch_size": "TRADING_ENGINE_BATCH_SIZE",
    },
    "news": {
        "url": "NEWS_ENGINE_URL",
        "audience": "NEWS_ENGINE_AUDIENCE",
        "timeout": "NEWS_ENGINE_TIMEOUT",
        "concurrency": "NEWS_ENGINE_CONCURRENCY",
        "patience": "NEWS_ENGINE_PATIENCE",
        "per_minute": "NEWS_ENGINE_PER_MINUTE",
    },
    "qa": {
        "url": "QA_ENGINE_URL",
        "audience": "QA_ENGINE_AUDIENCE",
        "timeout": "QA_ENGINE_TIMEOUT",
        "concurrency": "QA_ENGINE_CONCURRENCY",
        "attempts": "QA_ENGINE_ATTEMPTS",
        "patience": "QA_ENGINE_PATIENCE",
        "per_minute": "QA_ENGINE_PER_MINUTE",
    },
}
"""The variable of each field of `EngineSettings`."""

_OF_ENGINES: Mapping[tuple[str | int, ...], str] = {
    ("engines", engine, field): name
    for engine, variables in ENGINE_VARIABLES.items()
    for field, name in variables.items()
}
"""Them, by where they are in `Settings`."""

VARIABLES = (
    *(field.validation_alias for field in Settings.model_fields.values() if isinstance(field.validation_alias, str)),
    *_OF_ENGINES.values(),
)

DAY_VARIABLES = {"RUN_TIME_ZONE", "RUN_SCHEDULE"}

NOTIFIER = {"NOTIFY_URL", "NOTIFY_SECRET", "NOTIFY_ONLY"}
"""Variables that affect only the message about a run."""

_OF_OTHERS = {"NOTIFY_SOCKET"} | {name for name in VARIABLES if name.startswith(("CLOUD_RUN_", "GOOGLE_", "SSL_"))}
"""Variables that systemd, Cloud Run, libraries and their users set: a name like one of these is no misspelt one."""


def _misspelt(environ: Mapping[str, str]) -> Iterator[tuple[Fault, bool]]:
    """The faults of names that look like a variable of the job's and are none, and whether the notifier's was meant."""
    ours = [name for name in VARIABLES if name not in _OF_OTHERS]
    engines = tuple(f"{engine}_engine_".upper() for engine in ENGINE_VARIABLES)
    for name in sorted(environ.keys() - set(VARIABLES) - _OF_OTHERS):
        near = get_close_matches(name.upper(), ours, 1, cutoff=0.85)
        if near:
            remedy = message("did you mean {variable}? Rename it, or unset it", variable=near[0])
        elif name.upper().startswith(engines):
            remedy = message("unset it")
        else:
            continue
        yield Fault(name, message("is no variable of the job"), remedy), bool(NOTIFIER & {*near})


def read_settings(environ: Mapping[str, str]) -> tuple[Settings, list[Fault]]:
    """The settings and their faults. Settings with faults may be used only to look for further faults, not to run.

    A blank or faulty variable counts as unset. A fault in one of `NOTIFIER`, or in one that was meant as one, is only a
    notice, as it does not stop the job. Missing engine URLs are not reported here, since only the plan shows which
    engines are needed.
    """
    given = {name: text for name in VARIABLES if (text := environ.get(name, "").strip())}
    misspelt = list(_misspelt(environ))
    faults = [fault for fault, is_notifiers in misspelt if not is_notifiers]
    if "CONFIG_URI" not in given:
        faults.append(not_set("CONFIG_URI", NAME_A_PLACE))
    spared: dict[str | None, Message] = {
        fault.variable: fault.sentence for fault, is_notifiers in misspelt if is_notifiers
    }
    try:
        settings = Settings.model_validate(_values(given))
    except ValidationError as error:
        for path, found in problems(error):
            variable = _OF_ENGINES.get(tuple(path), str(path[0]))
            faults.append(Fault(variable, found.what, found.remedy))
        faulty = {fault.variable for fault in faults}
        sound = {name: text for name, text in given.items() if name not in faulty}
        settings = Settings.model_validate(_values(sound))
        spared |= {fault.variable: fault.sentence for fault in faults if fault.variable in NOTIFIER}
    update = {"notices": tuple(spared.values()), "notify_fault": spared.get("NOTIFY_URL")}
    return settings.model_copy(update=update), [fault for fault in faults if fault.variable not in NOTIFIER]


def _values(given: Mapping[str, str]) -> dict[str, object]:
    engines = {
        engine: {"name": engine} | {field: given[name] for field, name in variables.items() if name in given}
        for engine, variables in ENGINE_VARIABLES.items()
    }
    return {**given, "engines": engines}


DATE, AGAIN, WITHOUT = "--date", "--again", "--without"


@dataclass(frozen=True, slots=True)
class Options:
    """What a person or the scheduler asks for: that the cards of a day exist."""

    settings: Settings
    faults: Sequence[Fault]
    now: datetime
    started: float
    """When the process started, by `time.monotonic`."""
    date: str | None = None
    again: tuple[str, ...] = ()
    is_confirmed: bool = False
    """Whether many cards may be paid for again."""
    without: tuple[str, ...] = ()

    @property
    def days(self) -> Days | None:
        """The days of the variables; `None` if these are faulty, or not set, as on a laptop."""
        return self.settings.days() if self.settings.says_days else None

    def day(self, days: Days) -> tuple[str, list[Fault]]:
        """The day of the start, and what is wrong with the one that was named."""
        current = days.current(self.now)
        if self.date is None or not days.is_to_come(self.date, self.now):
            return self.date or current, []
        today = self.now.astimezone(days.zone).date().isoformat()
        what = message("{date} is still to come: today is {today}", date=self.date, today=today)
        return current, [Fault(DATE, what, message("write a day that has begun"), FaultKind.COMMAND)]

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments of the command line that requests the same."""
        return (
            "run",
            *([f"--date={self.date}"] if self.date else []),
            *(f"--again={name}" for name in self.again),
            *(["--yes"] if self.is_confirmed else []),
            *(f"--without={name}" for name in self.without),
        )

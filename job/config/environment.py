"""The environment of the job, read once at its start."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from job.config.faults import Fault
from job.config.fields import (
    UnfitError,
    engine_url,
    one_task,
    origin_of,
    place_of_runs,
    run_date,
    run_id,
    seconds,
    service_account,
    time_zone,
    whole,
)
from job.engines.calls import BATCHES
from job.engines.catalog import (
    ALL_ENGINES,
    ATTEMPTS_DEFAULT,
    BATCH_SIZE_DEFAULT,
    CONCURRENCY_DEFAULT,
    TIMEOUT_DEFAULT,
    EngineName,
)
from job.text import quoted

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How to reach one engine, and how hard to try."""

    url: str | None
    """Without a slash at its end; `None` where the variable is not set."""
    audience: str | None
    timeout: float
    """Seconds for one attempt, its token included."""
    concurrency: int
    attempts: int
    batch_size: int


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment, parsed."""

    config_uri: str
    engines: Mapping[EngineName, EngineSettings]
    run_date: str | None
    """YYYY-MM-DD; `today` is resolved already."""
    run_date_is_explicit: bool
    """Whether it was given as a date, which a recorded run must not contradict."""
    time_zone: ZoneInfo
    run_id: str | None
    runs_uri: str | None
    deadline: float | None
    """Seconds from the start of the process."""
    execution: str | None
    task_attempt: int
    impersonate: str | None
    project: str | None


class _Variables:
    """Reads variables and gathers the faults. A blank value counts as unset."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.faults: list[Fault] = []

    def read(self, name: str, parse: Callable[[str], T], default: T) -> T:
        text = self.environ.get(name, "").strip()
        if not text:
            return default
        if not text.isprintable():  # bytes that are no UTF-8 included: they would break the log's lines
            self.faults.append(Fault(name, f"{quoted(text)} holds what cannot be printed", "correct it or unset it"))
            return default
        try:
            return parse(text)
        except UnfitError as error:
            self.faults.append(Fault(name, error.what, error.remedy))
            return default


def read_settings(environ: Mapping[str, str], now: datetime) -> tuple[Settings, list[Fault]]:
    """The settings, and what is wrong with them: with any fault they serve to look for further faults, not to run.

    `now` is an aware time, for `RUN_DATE=today`. Whether an engine's URL is missing only the plan can tell.
    """
    variables = _Variables(environ)
    config_uri = variables.read("CONFIG_URI", str, "")
    if not environ.get("CONFIG_URI", "").strip():
        remedy = "set it to gs://BUCKET/PREFIX or to a directory"
        variables.faults.append(Fault("CONFIG_URI", "is not set", remedy))
    variables.read("CLOUD_RUN_TASK_COUNT", one_task, None)
    zone = variables.read("RUN_TIME_ZONE", time_zone, ZoneInfo("UTC"))
    execution = variables.read("CLOUD_RUN_EXECUTION", run_id, None)
    settings = Settings(
        config_uri=config_uri,
        engines={name: _engine(variables, name) for name in ALL_ENGINES},
        run_date=variables.read("RUN_DATE", lambda text: run_date(text, now.astimezone(zone).date()), None),
        run_date_is_explicit=environ.get("RUN_DATE", "").strip() not in {"", "today"},
        time_zone=zone,
        run_id=variables.read("RUN_ID", run_id, None) or execution,
        runs_uri=variables.read("RUNS_URI", place_of_runs, None),
        deadline=variables.read("RUN_DEADLINE_SECONDS", seconds(1, 7 * 24 * 3600), None),
        execution=execution,
        task_attempt=variables.read("CLOUD_RUN_TASK_ATTEMPT", whole(0, 1000), 0),
        impersonate=variables.read("IMPERSONATE_SERVICE_ACCOUNT", service_account, None),
        project=variables.read("GOOGLE_CLOUD_PROJECT", str, None),
    )
    return settings, variables.faults


def _engine(variables: _Variables, name: EngineName) -> EngineSettings:
    prefix = f"{name.upper()}_ENGINE_"
    url = variables.read(f"{prefix}URL", engine_url, None)
    return EngineSettings(
        url=url,
        audience=variables.read(f"{prefix}AUDIENCE", str, url and origin_of(urlsplit(url))),
        # Cloud Run ends every request after 60 minutes
        timeout=variables.read(f"{prefix}TIMEOUT", seconds(1, 3600), TIMEOUT_DEFAULT[name]),
        concurrency=variables.read(f"{prefix}CONCURRENCY", whole(1, 1024), CONCURRENCY_DEFAULT[name]),
        attempts=variables.read(f"{prefix}ATTEMPTS", whole(1, 20), ATTEMPTS_DEFAULT),
        batch_size=variables.read(f"{prefix}BATCH_SIZE", whole(1, 1000), BATCH_SIZE_DEFAULT) if name in BATCHES else 1,
    )

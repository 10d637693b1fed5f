"""Inputs of a run, as its record keeps them: enough to make the same plan again."""

import hashlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo

import trio
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from job.config.entries import Date
from job.config.environment import Settings
from job.config.faults import Fault
from job.config.fields import RunId, is_date, must_be_printable
from job.config.schema import LlmConfig
from job.engines.calls import BATCHES
from job.engines.catalog import EngineName
from job.engines.identity import VERSION
from job.ledger.totals import Count
from job.planning.left_out import without
from job.planning.plan import Plan
from job.planning.prepare import Prepared, make_plan, prepare_from, read_objects
from job.report.format import FORMAT, NOT_WRITTEN, OF_OTHER_RUN, RecordError, Stamp, sealed, unsealed
from job.storage.store import StorageError, StoredObject
from job.storage.uri import absolute, open_store
from job.text.messages import message

COMPARE_SECONDS = 10.0
"""Time limit for reading the present config of a recorded run, to compare it."""


class ConfigObject(BaseModel):
    """A config object as it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    generation: str
    content: str


class RunInputs(BaseModel):
    """The inputs of a run's plan. No secret is among them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    run_id: RunId
    started: Stamp
    """When the first attempt began."""
    day: Date
    """The day that the run is for: its date, or the day of its start in its time zone."""
    date: str | None
    """The date of the plan; `None` if each engine uses its own current date."""
    batch_sizes: dict[EngineName, Annotated[int, Field(ge=1, le=1000)]]
    config_uri: Annotated[str, BeforeValidator(must_be_printable)]
    objects: dict[str, ConfigObject]
    version: str
    number: Count = 0
    """0 for the config that the run began with; later configs are numbered from 1."""
    execution: str | None = None
    """The execution that recorded a later config; its retries use that config too."""
    job: str | None = None
    """The Cloud Run job, if the run began on Cloud Run; `region` and `project` are of that job."""
    region: str | None = None
    project: str | None = None
    runs_uri: str | None = None
    """Where the run is recorded, if it began on a laptop, for commands that read it. A path is absolute."""
    resume_with: str | None = None
    """The beginning of the command that resumes it, if it is not the job's own."""

    @classmethod
    def of(cls, settings: Settings, run_id: str, prepared: Prepared, now: datetime) -> "RunInputs":
        """The inputs of a run that begins now."""
        plan, local = prepared.plan, now.astimezone(settings.time_zone)
        return cls(
            run_id=run_id,
            started=local.isoformat(timespec="seconds"),
            day=plan.date or local.date().isoformat(),
            date=plan.date,
            batch_sizes=dict(plan.batch_sizes),
            config_uri=settings.config_uri,
            objects=_recorded(prepared.objects),
            version=VERSION,
            job=settings.job,
            region=settings.region,
            project=settings.project,
            runs_uri=None if settings.job or settings.runs_uri is None else absolute(settings.runs_uri),
            resume_with=settings.resume_with,
        )

    @classmethod
    def unread(cls, settings: Settings, run_id: str, now: datetime) -> "RunInputs":
        """What is known of a run that has no plan yet, or whose config cannot be used. It is never stored."""
        nothing = Prepared(replace(without_plan(), date=settings.run_date), {}, ())
        return cls.of(settings, run_id, nothing, now)

    @property
    def zone(self) -> tzinfo | None:
        """The time zone of the run, as an offset from UTC."""
        return datetime.fromisoformat(self.started).tzinfo

    def with_config(self, prepared: Prepared, settings: Settings) -> "RunInputs":
        """The inputs of this run with another config; `self` if the content is the same, whatever the generations."""
        later = self.model_copy(
            update={
                "batch_sizes": dict(prepared.plan.batch_sizes),
                "objects": _recorded(prepared.objects),
                "version": VERSION,
                "number": self.number + 1,
                "execution": settings.execution,
            }
        )
        return self if (later.contents, later.batch_sizes) == (self.contents, self.batch_sizes) else later

    @property
    def contents(self) -> dict[str, bytes]:
        """What each config object holds, by name."""
        return {name: kept.content.encode() for name, kept in self.objects.items()}

    @property
    def digest(self) -> str:
        """A digest of the contents of the config objects."""
        whole = hashlib.sha256()
        for name, content in sorted(self.contents.items()):
            whole.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
        return whole.hexdigest()

    def prepare(self, settings: Settings, faults: list[Fault]) -> Prepared:
        """Makes the recorded plan again, without reading the present config. Raises `ConfigError`."""
        objects = {
            name: StoredObject(kept.content.encode(), kept.generation, 0.0) for name, kept in self.objects.items()
        }
        return prepare_from(objects, self.date, self.batch_sizes, settings, faults)

    def plan(self) -> Plan:
        """The recorded plan, for a report: nothing is called."""
        plan, _, _ = make_plan(self.contents, self.date, self.batch_sizes)
        return plan

    def other_day(self, now: datetime, zone: str | None) -> str | None:
        """Today, if the run has no date and today is not its day: the engines would use another date than before.

        `zone` is the name of the run's time zone, if it is known.
        """
        today = today_of(self.started, now, zone)
        return today if self.date is None and today != self.day else None

    def is_brought_by(self, execution: str | None) -> bool:
        """Whether this execution recorded this config: it is a retry then, and uses the config again."""
        return execution is not None and execution == (self.execution if self.number else self.run_id)


def today_of(started: str, now: datetime, zone: str | None) -> str:
    """The day of `now` in the time zone of a run that started then.

    Without the zone's name only its offset then is known, which may be another one by now.
    """
    tz = datetime.fromisoformat(started).tzinfo if zone is None else ZoneInfo(zone)
    return now.astimezone(tz).date().isoformat()


def without_plan() -> Plan:
    """The plan of a run that has none yet, or whose config cannot be used."""
    return Plan((), LlmConfig(), None, {})


def is_same_config(one: str, other: str) -> bool:
    """Whether two values of CONFIG_URI name the same place."""
    return absolute(one).rstrip("/") == absolute(other).rstrip("/")


async def has_changed(inputs: RunInputs, left_out: Collection[str] = ()) -> bool:
    """Whether the content of the config has changed since it was recorded, but for the targets that are `left_out`.

    `False` if it cannot be read now.
    """
    contents: Mapping[str, bytes] | None = None
    with trio.move_on_after(COMPARE_SECONDS), suppress(StorageError):
        found = await read_objects(open_store(inputs.config_uri))
        contents = {name: stored.data for name, stored in found.items()}
    return contents is not None and without(contents, left_out) != without(inputs.contents, left_out)


def _recorded(objects: Mapping[str, StoredObject]) -> dict[str, ConfigObject]:
    return {
        name: ConfigObject(generation=stored.generation, content=stored.data.decode())
        for name, stored in objects.items()
    }


def pack(inputs: RunInputs) -> bytes:
    """The bytes of the object that stores the inputs."""
    return sealed(inputs.model_dump(mode="json"))


def unpack(name: str, data: bytes, run_id: str) -> RunInputs:
    """The inputs in the object of this name. Raises `RecordError`."""
    value = unsealed(name, data)
    try:
        inputs = RunInputs.model_validate(value)
    except ValueError as error:
        raise RecordError(message(NOT_WRITTEN, object=name)) from error
    if not inputs.batch_sizes.keys() >= BATCHES.keys():
        raise RecordError(message(NOT_WRITTEN, object=name))
    if inputs.run_id != run_id:
        raise RecordError(message(OF_OTHER_RUN, object=name, run=inputs.run_id))
    if inputs.date is not None and not is_date(inputs.date):
        raise RecordError(message("{object} has no proper date", object=name))
    return inputs

"""What a run was made of, as its record keeps it: enough to make the same plan again."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, PositiveInt

from job.config.environment import Settings
from job.config.faults import Fault
from job.config.fields import is_date
from job.engines.calls import BATCHES
from job.engines.catalog import EngineName
from job.identity import VERSION
from job.planning.plan import Plan
from job.planning.prepare import Prepared, make_plan, prepare_from
from job.records.format import FORMAT, RecordError, sealed, unsealed
from job.storage.store import StoredObject


class ConfigObject(BaseModel):
    """A config object as it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    generation: str
    content: str


class RunInputs(BaseModel):
    """The inputs of a run's plan. No secret is among them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    run_id: str
    started: str
    """When the first attempt began, ISO 8601 with its offset."""
    day: str
    """The day that the run is for: its date, or the day of its start in its time zone."""
    date: str | None
    """The date that the plan has; `None` left it to the engines."""
    batch_sizes: dict[EngineName, PositiveInt]
    config_uri: str
    objects: dict[str, ConfigObject]
    version: str

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
            objects={
                name: ConfigObject(generation=stored.generation, content=stored.data.decode())
                for name, stored in prepared.objects.items()
            },
            version=VERSION,
        )

    def prepare(self, settings: Settings, faults: list[Fault]) -> Prepared:
        """Makes the recorded plan again, whatever the config says now. Raises `ConfigError`."""
        objects = {
            name: StoredObject(kept.content.encode(), kept.generation, 0.0) for name, kept in self.objects.items()
        }
        found = [*faults, *self._contradictions(settings)]
        return prepare_from(objects, self.date, self.batch_sizes, settings, found)

    def plan(self) -> Plan:
        """The recorded plan, for a report: nothing is called."""
        contents = {name: kept.content.encode() for name, kept in self.objects.items()}
        plan, _, _ = make_plan(contents, self.date, self.batch_sizes)
        return plan

    def _contradictions(self, settings: Settings) -> list[Fault]:
        """The variables that ask for another run than the recorded one."""
        if not settings.run_date_is_explicit or settings.run_date == self.date:
            return []
        if self.date is None:
            what = f"run {self.run_id} was started without RUN_DATE"
        else:
            what = f"{settings.run_date} is not the date of run {self.run_id}, which is {self.date}"
        return [Fault("RUN_DATE", what, "unset it to resume that run, or start a run of another RUN_ID")]


def pack(inputs: RunInputs) -> bytes:
    """The object that holds them."""
    return sealed(inputs.model_dump(mode="json"))


def unpack(name: str, data: bytes, run_id: str) -> RunInputs:
    """The inputs that an object of this name holds. Raises `RecordError`."""
    value = unsealed(name, data)
    try:
        inputs = RunInputs.model_validate(value)
        datetime.fromisoformat(inputs.started)
    except ValueError as error:
        raise RecordError(f"{name} is not what a run writes") from error
    if not inputs.batch_sizes.keys() >= BATCHES.keys():
        raise RecordError(f"{name} is not what a run writes")
    if inputs.run_id != run_id:
        raise RecordError(f"{name} belongs to run {inputs.run_id}")
    if inputs.date is not None and not is_date(inputs.date):
        raise RecordError(f"{name} has no proper date")
    return inputs

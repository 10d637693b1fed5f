"""From the environment to the plan: everything that is known before anything is called."""

from collections.abc import Mapping
from dataclasses import dataclass

from job.config import OBJECTS, read_config
from job.documents import SIZE_LIMIT
from job.engines import EngineName
from job.faults import ConfigError, Fault
from job.inputs import Inputs
from job.plan import Plan, missing_urls
from job.settings import Settings
from job.storage import open_store
from job.store import StorageError, Stored, read_all
from job.targets import resolve


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan, what it was made of, and what its user should know of it."""

    plan: Plan
    objects: Mapping[str, Stored]
    notices: tuple[str, ...]


async def prepare(settings: Settings, faults: list[Fault]) -> Prepared:
    """Reads the config once and makes the plan. Raises `ConfigError` with all faults, those of the settings first."""
    if not settings.config_uri:
        raise ConfigError(faults)
    try:
        objects = await read_all(open_store(settings.config_uri), OBJECTS, SIZE_LIMIT + 1)
    except StorageError as error:
        remedy = "see that it names gs://BUCKET/PREFIX or a directory, and that it can be read from here"
        raise ConfigError([*faults, Fault("CONFIG_URI", str(error), remedy)]) from error
    sizes = {name: engine.batch_size for name, engine in settings.engines.items()}
    return _prepared(settings, faults, objects, settings.run_date, sizes)


def prepare_again(settings: Settings, faults: list[Fault], inputs: Inputs) -> Prepared:
    """Makes the plan that a run was recorded with, whatever the config says now. Raises `ConfigError`."""
    found = list(faults)
    if settings.run_date_is_explicit and settings.run_date != inputs.date:
        what = f"{settings.run_date} is not the date of run {inputs.run_id}, which is {inputs.date or 'not set'}"
        found.append(Fault("RUN_DATE", what, "unset it to resume that run, or start a run of another RUN_ID"))
    objects = {name: Stored(kept.content.encode(), kept.generation, 0.0) for name, kept in inputs.objects.items()}
    return _prepared(settings, found, objects, inputs.date, inputs.batch_sizes)


def _prepared(
    settings: Settings,
    faults: list[Fault],
    objects: Mapping[str, Stored],
    date: str | None,
    batch_sizes: Mapping[EngineName, int],
) -> Prepared:
    config, config_faults, notices = read_config({name: stored.data for name, stored in objects.items()})
    targets, target_faults, target_notices = resolve(config)
    plan = Plan(targets, config.models, date, batch_sizes)
    found = [*faults, *config_faults, *target_faults]
    known = {fault.where for fault in found}
    found += [fault for fault in missing_urls(plan, settings) if fault.where not in known]
    if found:
        raise ConfigError(found)
    return Prepared(plan, objects, (*notices, *target_notices))

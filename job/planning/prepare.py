"""The preparation of a run: from environment and config objects to the plan, before any engine is called."""

from collections.abc import Mapping
from dataclasses import dataclass

from job.config.environment import Settings
from job.config.faults import ConfigError, Fault
from job.config.objects import OBJECTS, read_config
from job.config.strict_json import SIZE_LIMIT
from job.engines.catalog import EngineName
from job.planning.plan import Plan
from job.planning.targets import resolve
from job.storage.store import StorageError, StoredObject, read_many
from job.storage.uri import open_store


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan, the config objects that it was made from, and notices for the user."""

    plan: Plan
    objects: Mapping[str, StoredObject]
    notices: tuple[str, ...]


async def prepare(settings: Settings, faults: list[Fault]) -> Prepared:
    """Reads each config object once and makes the plan. Raises `ConfigError` with all faults, the settings' first."""
    if not settings.config_uri:
        raise ConfigError(faults)
    try:
        objects = await read_many(open_store(settings.config_uri), OBJECTS, SIZE_LIMIT + 1)
    except StorageError as error:
        remedy = (
            error.remedy or "see that it names gs://BUCKET/PREFIX or a directory, and that it can be read from here"
        )
        raise ConfigError([*faults, Fault("CONFIG_URI", error.what, remedy)]) from error
    sizes = {name: engine.batch_size for name, engine in settings.engines.items()}
    return prepare_from(objects, settings.run_date, sizes, settings, faults)


def prepare_from(
    objects: Mapping[str, StoredObject],
    date: str | None,
    batch_sizes: Mapping[EngineName, int],
    settings: Settings,
    faults: list[Fault],
) -> Prepared:
    """Makes the plan from config objects that were read or recorded. Raises `ConfigError`, as `prepare` does."""
    plan, config_faults, notices = make_plan({name: one.data for name, one in objects.items()}, date, batch_sizes)
    found = [*faults, *config_faults]
    known = {fault.where for fault in found}
    found += [fault for fault in missing_urls(plan, settings) if fault.where not in known]
    if found:
        raise ConfigError(found)
    return Prepared(plan, objects, tuple(notices))


def make_plan(
    objects: Mapping[str, bytes], date: str | None, batch_sizes: Mapping[EngineName, int]
) -> tuple[Plan, list[Fault], list[str]]:
    """Returns the plan that the config objects ask for, their faults, and the notices. Pure.

    `objects` maps the names of the objects that exist to their content. A plan with faults must not run.
    """
    config, config_faults, config_notices = read_config(objects)
    targets, target_faults, target_notices = resolve(config)
    plan = Plan(targets, config.models, date, batch_sizes)
    return plan, [*config_faults, *target_faults], [*config_notices, *target_notices]


def missing_urls(plan: Plan, settings: Settings) -> list[Fault]:
    """Returns a fault for each engine that the plan uses and that has no URL."""
    return [
        Fault(f"{engine.upper()}_ENGINE_URL", "is not set", f"set it to the {engine} engine's https URL")
        for engine in plan.engines()
        if settings.engines[engine].url is None
    ]

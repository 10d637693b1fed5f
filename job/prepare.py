"""From the environment to the plan: everything that is known before anything is called."""

from dataclasses import dataclass

from job.config import OBJECTS, read_config
from job.documents import SIZE_LIMIT
from job.faults import ConfigError, Fault
from job.plan import Plan, missing_urls
from job.settings import Settings
from job.storage import StorageError, open_store, read_all
from job.targets import resolve


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan, and what its user should know of it."""

    plan: Plan
    notices: tuple[str, ...]


async def prepare(settings: Settings, faults: list[Fault]) -> Prepared:
    """Reads the config once and makes the plan. Raises `ConfigError` with all faults, those of the settings first."""
    found = list(faults)
    objects = {}
    if settings.config_uri:
        try:
            store = open_store(settings.config_uri)
            objects = await read_all(store, OBJECTS, SIZE_LIMIT + 1)
        except StorageError as error:
            remedy = "set it to gs://BUCKET/PREFIX, or a directory, that can be read"
            raise ConfigError([*found, Fault("CONFIG_URI", str(error), remedy)]) from error
    if not settings.config_uri:
        raise ConfigError(found)
    config, config_faults, notices = read_config({name: stored.data for name, stored in objects.items()})
    targets, target_faults, target_notices = resolve(config)
    plan = Plan(
        targets=targets,
        models=config.models,
        date=settings.run_date,
        batch_sizes={name: engine.batch_size for name, engine in settings.engines.items()},
    )
    found += [*config_faults, *target_faults]
    urls = {fault.where for fault in found}
    found += [fault for fault in missing_urls(plan, settings) if fault.where not in urls]
    if found:
        raise ConfigError(found)
    return Prepared(plan, (*notices, *target_notices))

"""Reads the config objects and makes the plan, before any engine is called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import trio

from job.config.environment import ENGINE_VARIABLES, Options
from job.config.faults import ConfigError, Fault, FaultKind, not_set
from job.config.objects import OBJECTS, SIZE_LIMIT, Config, parse_config
from job.config.plan import Plan, left_out_faults, make_plan, select
from job.config.values import ENGINE_URL_REMEDY
from job.engines.calls import DATA_ENGINES, EngineName, Item
from job.storage.store import ObjectStore, StorageError, StoredObject, UnreachableError, each_of, in_thread
from job.storage.uri import open_store
from job.text.messages import message


@dataclass(frozen=True, slots=True)
class PlannedConfig:
    """A config as it was read: the plan, the objects that it was made from, and what of it is made again."""

    plan: Plan
    objects: Mapping[str, StoredObject]
    again: Sequence[Item]


@dataclass(frozen=True, slots=True)
class RecordedConfig:
    """The config objects of an earlier day, as its latest attempt has them."""

    objects: Mapping[str, StoredObject]
    batch_sizes: Mapping[EngineName, int]

    def parse(self, known: Sequence[Fault] = ()) -> Config:
        """As `parse_config`; the engines that came later are off."""
        config = parse_config(_contents(self.objects), known)
        later = (engine for engine in DATA_ENGINES if engine not in self.batch_sizes)
        return replace(config, switched_off=(*config.switched_off, *later))


async def read_config(options: Options, day: str, recorded: RecordedConfig | None = None) -> PlannedConfig:
    """Reads the objects, unless they are `recorded`, and makes the plan.

    Raises `ConfigError`; `StorageError` if only storage is down.
    """
    settings, faults = options.settings, list(options.faults)
    if not settings.config_uri:
        raise ConfigError(faults)
    try:
        objects = recorded.objects if recorded else await read_objects(open_store(settings.config_uri))
    except StorageError as error:
        if isinstance(error, UnreachableError) and not faults:
            error.place = "CONFIG_URI"
            raise
        raise ConfigError([*faults, unreadable("CONFIG_URI", error)]) from error
    # In a thread, since the event loop may have a lease to renew: 100,000 cards take 0.1 s.
    parse = recorded.parse if recorded else partial(parse_config, _contents(objects))
    config = await trio.to_thread.run_sync(parse, faults)
    sizes = settings.batch_sizes
    if recorded is not None:
        sizes = {engine: size for engine, size in sizes.items() if engine in recorded.batch_sizes}
    plan, between = await trio.to_thread.run_sync(make_plan, config, day, sizes)
    all_faults = [*faults, *between]
    faulty = {fault.variable for fault in faults}
    urls = [ENGINE_VARIABLES[engine]["url"] for engine in plan.engines() if settings.engines[engine].url is None]
    all_faults += [not_set(variable, ENGINE_URL_REMEDY) for variable in urls if variable not in faulty]
    again: Sequence[Item] = ()
    if not between:  # else it is not known which names there are
        all_faults += left_out_faults(plan, options.without)
        plan = plan.without(options.without)
        again, unknown = select(plan, options.again, is_confirmed=options.is_confirmed)
        all_faults += unknown
    if all_faults:
        raise ConfigError(all_faults)
    return PlannedConfig(plan, objects, again)


def _contents(objects: Mapping[str, StoredObject]) -> dict[str, bytes]:
    return {name: stored.data for name, stored in objects.items()}


async def read_objects(store: ObjectStore) -> dict[str, StoredObject]:
    return await each_of(OBJECTS, lambda name: in_thread(partial(store.read, name, SIZE_LIMIT + 1)), len(OBJECTS))


def unreadable(where: str, error: StorageError) -> Fault:
    """The fault for a place whose objects could not be read; `where` is the variable or argument that names it."""
    remedy = message("check that it is gs://BUCKET/PREFIX or a directory, and that it can be read from here")
    if isinstance(error, UnreachableError):
        remedy = message("try again later")
    return Fault(where, error.what, error.remedy or remedy, FaultKind.STORAGE)

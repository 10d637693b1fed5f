"""Left-out targets: which targets a person has left out of a run, read from its record.

An attempt's entry names them beside a digest of its config. Thus inputs and names always fit, also if an attempt was
killed after it had added its entry and before it had written its inputs.
"""

from collections.abc import Sequence
from dataclasses import replace

from job.config.environment import Settings
from job.config.faults import CommandFault, ConfigError, Fault
from job.config.objects import TICKER_LIST
from job.planning.left_out import OPTION, faults_of, leave_out
from job.planning.plan import Plan
from job.planning.prepare import Prepared
from job.planning.targets import Target
from job.records.attempts import read_attempts
from job.records.record import read_inputs
from job.report.commands import Place
from job.report.inputs import RunInputs
from job.storage.store import ObjectStore, in_thread
from job.text.messages import listed, message, template


async def left_out_of(store: ObjectStore, inputs: RunInputs) -> tuple[Target, ...]:
    """The targets that are left out of these inputs. Raises `RecordError` and `StorageError`."""
    if not inputs.number:  # each run begins with its whole config
        return ()
    digest = inputs.digest
    entries = [entry for entry in await read_attempts(store, inputs.run_id) if entry.config == digest]
    return await targets_of(store, inputs, entries[-1].without) if entries else ()


async def less_left_out(
    store: ObjectStore, recorded: RunInputs, names: Sequence[str], settings: Settings, faults: list[Fault]
) -> tuple[Prepared, RunInputs]:
    """The recorded plan and its inputs, less what is left out already, and less the targets of these names.

    Raises `ConfigError`, as `RunInputs.prepare` does and if a name is not right; `RecordError` and `StorageError`.
    """
    left_out = await left_out_of(store, recorded)
    before = {target.id for target in left_out}
    if names:
        faults = [*faults, *faults_of(names, recorded.plan(), before)]
    prepared = recorded.prepare(settings, faults)
    left_out += await targets_of(store, recorded, [name for name in names if name not in before])
    if not left_out:
        return prepared, recorded
    reduced = leave_out(prepared, left_out)
    if reduced is None:
        what = message("leaves nothing: {list} needs a ticker, and the plan a card", list=TICKER_LIST)
        raise ConfigError([CommandFault(OPTION, what, message("leave out fewer targets"))])
    return reduced, recorded.with_config(reduced, settings)


async def still_left_out(store: ObjectStore, recorded: RunInputs, prepared: Prepared) -> Prepared:
    """The present config less what is left out of the recorded one. Raises as `less_left_out` does."""
    left_out = await left_out_of(store, recorded)
    if not left_out:
        return prepared
    reduced = leave_out(prepared, left_out)
    if reduced is None:
        text = template("has nothing but what a person has left out of run {run}: {names}")
        what = message(text, run=recorded.run_id, names=listed([target.id for target in left_out]))
        command = Place.of(recorded).resume(recorded.run_id, "new_config")
        raise ConfigError([Fault(TICKER_LIST, what, message("`{command}` brings that back", command=command))])
    return reduced


async def targets_of(store: ObjectStore, inputs: RunInputs, names: Sequence[str]) -> tuple[Target, ...]:
    """These targets of a run, each as it was last planned up to these inputs. Raises `RecordError`, `StorageError`."""
    found: dict[str, Target] = {}
    earlier: RunInputs | None = inputs
    while earlier is not None and not found.keys() >= set(names):
        plan = await in_thread(earlier.plan, background=True)
        found = {target.id: target for target in plan.targets if target.id in names} | found
        earlier = await read_inputs(store, inputs.run_id, earlier.number - 1) if earlier.number else None
    return tuple(found[name] for name in dict.fromkeys(names) if name in found)


async def plan_of(store: ObjectStore, inputs: RunInputs) -> Plan:
    """The recorded plan, with the targets that are left out of it. Raises `RecordError` and `StorageError`."""
    plan = await in_thread(inputs.plan, background=True)
    return replace(plan, left_out=await left_out_of(store, inputs))

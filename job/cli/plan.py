"""Command `plan`: what a run would call, or every fault of its configuration."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import trio

from job.config.environment import Settings
from job.config.faults import Fault
from job.config.objects import OBJECTS
from job.engines.calls import METHOD, Call
from job.planning.plan import Plan
from job.planning.prepare import make_plan, read_objects, unreadable
from job.planning.targets import Target, llm_parameters
from job.records.past import read_plan_change
from job.report.outcome import ExitCode
from job.reporting.stdout import say, say_error, write_line
from job.storage.store import StorageError, UnreachableError, UnusableError, in_thread
from job.storage.uri import open_store
from job.text.display import counted
from job.text.messages import Message, Translator, listed, message, translator


def plan_command(settings: Settings, faults: list[Fault], place: str | None, *, as_json: bool) -> ExitCode:
    """Prints what a run would call, or all faults on standard error. Calls no engine and needs no engine's URL.

    `place` is a directory or `gs://BUCKET/PREFIX` whose objects are read instead of those under CONFIG_URI. A JSON
    object there that the job never reads is a fault too, since its name is probably mistyped.
    """
    to = translator(settings.language)
    for notice in settings.notices:
        say_error(to.text(notice))
    if place is not None:
        faults = [fault for fault in faults if fault.where != "CONFIG_URI"]
    uri = settings.config_uri if place is None else place
    if not uri:
        return _refuse(faults, ExitCode.USAGE, to)
    try:
        objects, unknown = trio.run(_read, uri, place is not None)
    except StorageError as error:
        return _refuse_place(place, error, faults, to)
    sizes = {name: engine.batch_size for name, engine in settings.engines.items()}
    plan, config_faults, notices = make_plan(objects, settings.run_date, sizes)
    if found := [*faults, *config_faults, *unknown]:
        return _refuse(found, ExitCode.USAGE, to)
    for notice in notices:
        say_error(to.text(notice))
    changes = _changes(settings, plan)
    if as_json:
        for change in changes:
            say_error(change)
        _write_lines(plan, settings)
    else:
        _say_plan(plan)
        for change in changes:
            say(str(change))
    return ExitCode.DONE


def _refuse_place(place: str | None, error: StorageError, faults: Sequence[Fault], to: Translator) -> ExitCode:
    fault = unreadable(place or "CONFIG_URI", error)
    if place is not None:  # the fault names the place already
        fault = replace(fault, what=_within(place, fault.what))
    # 2 says that the config is faulty, also if CONFIG_URI is wrong. An unreadable place may hold a valid config.
    is_wrong = place is None and not isinstance(error, UnreachableError)
    is_faulty = faults or is_wrong or isinstance(error, UnusableError)
    return _refuse([*faults, fault], ExitCode.USAGE if is_faulty else ExitCode.BUSY, to)


def _within(place: str, text: Message) -> Message:
    """The text with names of objects within the place instead of whole ones."""
    before = f"{place.rstrip('/')}/"
    within = {
        name: value.removeprefix(before) if isinstance(value, str) else value for name, value in text.values.items()
    }
    return replace(text, values=within)


async def _read(uri: str, with_unknown: bool) -> tuple[dict[str, bytes], list[Fault]]:
    """The content of the config objects that exist, and if `with_unknown` a fault that names all other JSON objects."""
    store = open_store(uri)
    objects = await read_objects(store)
    names = await in_thread(lambda: store.names("")) if with_unknown else []
    unknown = [name for name in names if name.endswith(".json") and "/" not in name and name not in OBJECTS]
    what, remedy = message("is no object that the job reads"), message("correct its name or remove it")
    fault = Fault(listed(unknown), what, remedy)
    return {name: one.data for name, one in objects.items()}, [fault] if unknown else []


def _changes(settings: Settings, plan: Plan) -> Sequence[Message]:
    """How the plan differs from that of the night before; empty if RUNS_URI is not set."""
    if settings.runs_uri is None:
        return ()
    store = open_store(settings.runs_uri)
    # The config at a place may be a copy of the one at CONFIG_URI, so the latest run of that config is compared. If
    # CONFIG_URI is not set, it is the latest run of any config.
    return trio.run(read_plan_change, store, plan, settings.config_uri or None)


def _refuse(faults: Sequence[Fault], code: ExitCode, to: Translator) -> ExitCode:
    for fault in faults:
        say_error(to.text(fault.sentence))
    return code


def _write_lines(plan: Plan, settings: Settings) -> None:
    for engine in plan.engines():
        url = settings.engines[engine].url or ""  # if it is not set, the line has only path and query
        for call in plan.calls(engine):
            write_line(json.dumps(_as_json(call, url), ensure_ascii=False).encode())


def _as_json(call: Call, url: str) -> dict[str, object]:
    line: dict[str, object] = {"engine": call.engine, "method": METHOD, "url": url + call.path}
    if call.body is not None:
        line["body"] = json.loads(call.body)
    return line


def _say_plan(plan: Plan) -> None:
    date = f"Date {plan.date}" if plan.date else "Each engine uses its own current date (RUN_DATE is not set)"
    say(f"{date}: {counted(len(plan.targets), 'target')}, {counted(plan.count('qa'), 'card')}")
    for engine in plan.engines():
        _say_calls(plan, list(plan.calls(engine)))


def _say_calls(plan: Plan, calls: Sequence[Call]) -> None:
    engine = calls[0].engine
    items = counted(plan.count(engine), "card" if engine == "qa" else "target")
    say(f"{engine}: {items}, {counted(len(calls), 'call')}")
    if engine == "qa":
        _say_models(plan)
        for target in plan.targets:
            if target.card_types:
                say(f"  {target.id} ({', '.join(_about(target))}): {', '.join(target.card_types)}")
    else:
        for call in calls:
            say(f"  {', '.join(call.targets)}")


def _say_models(plan: Plan) -> None:
    """Prints each model with the card types that it makes. Leaves out types for which the config names no model."""
    types = dict.fromkeys(card_type for target in plan.targets for card_type in target.card_types)
    by_model: dict[str, list[str]] = {}
    for card_type in types:
        given = dict(llm_parameters(plan.models, card_type))
        names = {"model": given.get("model_name"), "backend": given.get("preferred_llm_backend")}
        model = ", ".join(f"{name} {value}" for name, value in names.items() if value is not None)
        by_model.setdefault(model, []).append(card_type)
    for model, made in by_model.items():
        if model:
            say(f"  {model}: {', '.join(made)}")


def _about(target: Target) -> Iterator[str]:
    """The kind of a target, and the settings that the config gives it alone."""
    yield target.kind
    if target.kind != "equity" and target.key != target.id:
        yield f"key {target.key}"
    if target.date:
        yield f"date {target.date}"
    for name, value in target.parameters:
        yield f"{name}={value}"

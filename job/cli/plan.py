"""Command `plan`: what tonight's run would call, or every fault of its configuration."""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

import trio

from job.config.environment import Settings
from job.config.faults import Fault
from job.config.objects import OBJECTS
from job.engines.calls import METHOD, Call
from job.engines.catalog import DATA_ENGINES, TITLES
from job.planning.plan import Plan
from job.planning.prepare import make_plan, read_objects, unreadable
from job.planning.targets import Target
from job.planning.typos import typos
from job.records.tonight import PastOfPlan, read_past_of_plan, settings_of_tonight
from job.rehearsal.forecast import foretell_quickly
from job.rehearsal.play import Scenario
from job.rehearsal.recorded import RecordedNight, read_nights
from job.rehearsal.words import usual_line
from job.report.comparison import plan_change, plan_lines
from job.report.outcome import ExitCode
from job.reporting.stdout import say, say_error, write_line
from job.storage.store import StorageError, UnreachableError, UnusableError, in_thread
from job.storage.uri import open_store
from job.text.messages import Message, Translator, Value, listed, message, plural, template, translator

NIGHTS_READ = 10
NIGHTS_SECONDS = 4.0
"""How long reading the latest nights may take."""


def plan_command(
    settings: Settings, faults: list[Fault], options: argparse.Namespace, environ: Mapping[str, str], now: datetime
) -> ExitCode:
    """Prints what a run would call tonight, or all faults on standard error. Calls no engine, needs no engine's URL.

    The place of the options is a directory or `gs://BUCKET/PREFIX` whose objects are read instead of those under
    CONFIG_URI. A JSON object there that the job never reads is a fault too, since its name is probably mistyped.
    """
    place, to = options.place, translator(settings.language)
    _say_notices(settings.notices, to)
    if place is not None:
        faults = [fault for fault in faults if fault.where != "CONFIG_URI"]
    uri = settings.config_uri if place is None else place
    if not uri:
        return _refuse(faults, ExitCode.USAGE, to)
    try:
        objects, unknown = trio.run(_read, uri, place is not None)
    except StorageError as error:
        return _refuse_place(place, error, faults, to)
    plan, config_faults, notices = make_plan(objects, None, {})
    if found := [*faults, *config_faults, *unknown]:
        return _refuse(found, ExitCode.USAGE, to)
    past = PastOfPlan()
    if settings.runs_uri is not None:
        # The config at a place may be a copy of the one at CONFIG_URI, so the latest run of that config is compared. If
        # CONFIG_URI is not set, it is the latest run of any config.
        past = trio.run(read_past_of_plan, settings.runs_uri, settings.config_uri or None)
    settings, origin = settings_of_tonight(past.start, environ, now)
    sizes = {name: engine.batch_size for name, engine in settings.engines.items()}
    plan = replace(plan, date=settings.run_date, batch_sizes=sizes)
    _say_notices([*notices, *typos(objects, plan, past.known)], to)
    changes = list(_change_lines(past, plan))
    if options.json:
        _say_notices([origin, *changes] if past.start is not None else changes, to)
        _write_lines(plan, settings)
        return ExitCode.DONE
    for line in (*_summary_lines(plan), *_usual_lines(past, plan, settings), origin, *changes):
        say(to.text(line))
    if options.full:
        _say_targets(plan, to)
    return ExitCode.DONE


def _say_notices(notices: Iterable[Message], to: Translator) -> None:
    for notice in notices:
        say_error(to.text(notice))


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


def _summary_lines(plan: Plan) -> Iterator[Message]:
    """The number of cards, of calls by engine, and of cards by model."""
    targets, cards = _targets(len(plan.targets)), _cards(plan.count("qa"))
    if plan.date is None:
        text = template("Each engine uses its own current date (RUN_DATE is not set): {targets}, {cards}")
        yield message(text, targets=targets, cards=cards)
    else:
        yield message("Date {date}: {targets}, {cards}", date=plan.date, targets=targets, cards=cards)
    for engine in plan.engines():
        count = plan.count(engine)
        calls = count if engine in {"news", "qa"} else sum(1 for _ in plan.calls(engine))
        yield message(
            "{engine}: {items}, {calls}",
            engine=TITLES[engine],
            items=_cards(count) if engine == "qa" else _targets(count),
            calls=plural("1 call", "{count} calls", count=calls),
        )
    yield from _model_lines(plan)


async def _read_nights(runs_uri: str, config_uri: str, past: PastOfPlan) -> list[RecordedNight]:
    """The latest nights; none if reading them takes too long or fails."""
    with suppress(StorageError), trio.move_on_after(NIGHTS_SECONDS):
        nights, _ = await read_nights(open_store(runs_uri), past.runs[:NIGHTS_READ], config_uri, objects=0)
        return nights
    return []


def _usual_lines(past: PastOfPlan, plan: Plan, settings: Settings) -> Iterator[Message]:
    """About how long the run takes, if past nights tell."""
    if settings.runs_uri is None or not settings.config_uri or not plan.count("qa"):
        return
    nights = trio.run(_read_nights, settings.runs_uri, settings.config_uri, past)
    forecast = foretell_quickly(Scenario(plan, settings.engines), nights)
    if forecast is not None and (line := usual_line(forecast)) is not None:
        yield line


def _targets(count: int) -> Message:
    return plural("1 target", "{count} targets", count=count)


def _cards(count: int) -> Message:
    return plural("1 card", "{count} cards", count=count)


def _model_lines(plan: Plan) -> Iterator[Message]:
    """How many cards each model makes, if the config names any model."""
    by_model = plan.cards_by_model()
    if set(by_model) <= {(None, None)}:
        return
    for (backend, model), types in by_model.items():
        values: dict[str, Value] = {"cards": _cards(types.total()), "types": listed(list(types))}
        if backend is not None and model is not None:
            yield message("Model {model} of {backend}: {cards} ({types})", model=model, backend=backend, **values)
        elif model is not None:
            yield message("Model {model}: {cards} ({types})", model=model, **values)
        elif backend is not None:
            yield message("The model that {backend} chooses: {cards} ({types})", backend=backend, **values)
        else:
            yield message("The model that the QA engine chooses: {cards} ({types})", **values)


def _change_lines(past: PastOfPlan, plan: Plan) -> Iterator[Message]:
    """How the plan differs from that of the night before, in sentences; or why it is not compared."""
    before = past.before
    if before is None:
        if past.problem is not None:
            yield past.problem
        return
    day, now = before.summary.day, plan.count("qa")
    if before.plan is None:
        yield _more_line(before.summary.cards.planned, now, day)
        return
    change = plan_change(before.plan, plan)
    if change is not None:
        yield _more_line(change.cards_then, now, day)
        yield from plan_lines(change, day)
    elif _without_order(plan) == _without_order(before.plan):
        yield message("The same as on {day}: {cards}", day=day, cards=_cards(now))
    else:
        text = template("The same cards as on {day}, {cards}, some with another model, date or parameter")
        yield message(text, day=day, cards=_cards(now))


def _without_order(plan: Plan) -> str:
    """A digest of the plan, whatever its date and order: targets that were left out by hand are its last ones."""
    return replace(plan, date=None, targets=tuple(sorted(plan.targets, key=lambda target: target.id))).digest()


def _more_line(then: int, now: int, day: str) -> Message:
    if now > then:
        return plural("1 card more than on {day}", "{count} cards more than on {day}", count=now - then, day=day)
    if now < then:
        return plural("1 card fewer than on {day}", "{count} cards fewer than on {day}", count=then - now, day=day)
    return message("As many cards as on {day}", day=day)


def _say_targets(plan: Plan, to: Translator) -> None:
    """Prints each target once, with its calls."""
    say(to.text(message("Each target, with the numbers of its batches, and its cards:")))
    batches: dict[str, list[str]] = {target.id: [] for target in plan.targets}
    for engine in DATA_ENGINES:
        for number, call in enumerate(plan.calls(engine), start=1):
            for name in call.targets:
                batches[name].append(engine if engine == "news" else f"{engine} {number}")
    for target in plan.targets:
        calls = "; ".join(filter(None, (", ".join(batches[target.id]), ", ".join(target.card_types))))
        say(f"  {target.id} ({', '.join(_about(target))}): {calls}")


def _about(target: Target) -> Iterator[str]:
    """The kind of a target, and the settings that the config gives it alone."""
    yield target.kind
    if target.kind != "equity" and target.key != target.id:
        yield f"key {target.key}"
    if target.date:
        yield f"date {target.date}"
    for name, value in target.parameters:
        yield f"{name}={value}"

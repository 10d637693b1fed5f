"""What is recorded, and what programs read, keeps its shape: names and types, a line each, in `format-2.txt`.

Whoever adds something adds its lines there by hand. Nothing writes that file, so nobody takes a line out unseen.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import trio
from pydantic import BaseModel, TypeAdapter

from job.cli.main import main
from job.day.attempt import FORMAT, Attempt
from job.day.ledger import Ledger
from job.day.report import CARDS, REPORT, Change, Items, Report
from job.day.result import CallResult, Counts
from job.engines.calls import ALL_ENGINES, Item
from job.engines.failures import Cause, Failure
from job.execution.progress import CallRetried, EngineFailing, EngineRecovered, Progress
from job.outputs.cards import COLUMNS
from job.outputs.channels import Hook
from job.outputs.log import CloudLog, MessageEvent, Reporter, as_json, verified
from job.outputs.message import Notifier, run_fields, trial_fields
from job.records.lease import LEASE, Holder
from job.records.record import Journal
from job.telling.fields import report_json
from job.telling.view import View
from job.text.messages import Message, message
from tests.support.days import SCENES
from tests.support.fakes import plan_of, target
from tests.support.records import FAULT, begun, start_at
from tests.support.results import result_of
from tests.support.stores import Memory

KEPT = Path(__file__).with_name(f"format-{FORMAT}.txt")
GONE = """\
This is gone, or has another name or type. Days that are recorded have it, and programs read it.
Leave it, and add the new one beside it."""
NOT_RECORDED = {"knows_days", "why", "done_since", "breaks_off", "is_repeated"}
"""What is only known at work."""
COUNTS = {one.name for one in fields(Counts)}
NEW = f"This is new. Add these lines to {KEPT.name}, by hand: from then on they stay."
PLAN = plan_of([target("A", ["c"])])
CALL = next(PLAN.calls("qa"))
FAILED = result_of(CALL, Failure(Cause.STATUS, message("no"), 503), tries=4)
Json = Mapping[str, Any]


# --- names and types, from a schema ---


def described(schema: Json) -> set[str]:
    """The lines of an object with this JSON schema. The values of a message may be messages, so it has its own."""
    return set(_described(schema, "", {**schema.get("$defs", {}), "Message": {"type": "message"}}))


def _described(schema: Json, path: str, known: Json) -> Iterator[str]:
    if "$ref" in schema:
        schema = known[schema["$ref"].rpartition("/")[2]]
    for one in schema.get("anyOf", ()):
        yield from _described(one, path, known)
    for name, one in schema.get("properties", {}).items():
        yield from _described(one, f"{path}.{name}".lstrip("."), known)
    if isinstance(more := schema.get("additionalProperties"), dict):
        yield from _described(more, f"{path}.*", known)
    for place, one in enumerate(schema.get("prefixItems", ())):
        yield from _described(one, f"{path}[{place}]", known)
    if isinstance(items := schema.get("items"), dict):
        yield from _described(items, f"{path}[]", known)
    if "type" in schema and schema["type"] not in {"object", "array"}:
        yield f"{path}: {schema['type']}"
    for value in schema.get("enum", ()):
        yield f"{path} = {value}"


# --- names, from what is written ---


def named(value: object, path: str = "") -> Iterator[str]:
    """The lines of an object as it is written. A key that the config or an engine gives is `*`.

    One that has all numbers of an engine, whose names are those of `ends/ engines.*`, and no other is `= counts`.
    """
    if path:
        yield path
    if isinstance(value, dict) and value.keys() == COUNTS:
        yield f"{path} = counts"
    elif isinstance(value, dict):
        for name, one in value.items():
            is_given = name in ALL_ENGINES or path in {"generations", "journal", "phases"}
            yield from named(one, f"{path}.{'*' if is_given else name}".lstrip("."))
    for one in value if isinstance(value, list) else ():
        yield from named(one, f"{path}[]")


def all_named(values: Iterable[object]) -> set[str]:
    return {line for value in values for line in named(value)}


def of_results() -> set[str]:
    """A line is made by hand, and leaves out defaults: its names are those of one without, its types are pydantic's."""
    given: dict[str, Any] = {one.name: "x" for one in fields(CallResult)}
    names = json.loads(replace(result_of(CALL), **given).line()).keys()
    schema = TypeAdapter(CallResult).json_schema()
    assert names <= schema["properties"].keys(), "it is read as it was written"
    return described(schema | {"properties": {name: schema["properties"][name] for name in names}})


def of_object(kind: type[BaseModel]) -> set[str]:
    schema = kind.model_json_schema(mode="validation")
    properties = {name: one for name, one in schema["properties"].items() if name not in NOT_RECORDED}
    return described(schema | {"properties": properties})


def of_ends() -> set[str]:
    facts = of_object(Report)
    written = json.loads(SCENES["cards missing"]().report.to_json())
    assert written.keys() == {re.split(r"\W", line)[0] for line in facts}
    return facts


def of_header() -> set[str]:
    journal = Journal(Memory(), "2026-11-24", 1, "x", lambda _: None)
    return all_named([json.loads(journal.next_chunk()[1])])


async def of_log(capfdbinary: pytest.CaptureFixture[bytes]) -> set[str]:
    """Every event with all its fields; those that all events have are of `*`."""
    writer = CloudLog()
    log = Reporter(writer)
    log.on_day(start_at())
    progress = Progress.of(Ledger(PLAN))
    log.on_faults([FAULT])
    events: tuple[MessageEvent, ...] = MessageEvent.__args__  # type: ignore[attr-defined]
    for event in events:
        log.on_message(event, message("x"))
    log.on_start(progress)
    log.on_barrier(progress)
    log.on_progress(progress, 1.0)
    for one in (
        FAILED, result_of(CALL, warning=message("x")),
        CallRetried(CALL, message("x"), 1.0, 4, ""),
        EngineFailing("qa", message("x"), 600.0, 1.0, 300.0, 4, 900.0), EngineRecovered("qa", 9.0),
    ):  # fmt: skip
        log.on_event(one)
    for make in SCENES.values():
        view = make()
        changes = (Change("gone", 1),)
        report = view.report.model_copy(update={"detail": Message("x"), "changes": changes})
        log.on_finish(replace(view, report=report, unrecorded=1))
    log.on_finish(SCENES["all made"]())
    await log.drain(5.0)
    written = [*capfdbinary.readouterr().out.splitlines(), as_json(verified(message("x"), done=True))]
    lines = [json.loads(line) for line in written]
    of_all = set.intersection(*(set(named(line)) for line in lines))
    own = {f"log {line['event']} {name}" for line in lines for name in named(line) if name not in of_all}
    return own | {f"log * {name}" for name in of_all}


def of_webhook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> set[str]:
    """That of a program, from a start, from `notify` and from `verify`."""
    sent: list[Any] = [trial_fields(), *(run_fields(make()) for make in SCENES.values())]

    async def send_lines(_: Notifier, _lines: object, more: Any, _seconds: float = 0.0) -> None:
        sent.append(more())
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(Notifier, "send_lines", send_lines)
    monkeypatch.setenv("RUNS_URI", str(tmp_path))
    main(["verify"])
    text = Hook("https://any.example", None).channel.body("x")
    sent = json.loads(json.dumps([text | one for one in sent]))
    return {f"webhook {one['event']} {name}" for one in sent for name in named(one)}


def of_report() -> set[str]:
    """As other programs get it."""
    reports = [make().report for make in SCENES.values()]
    change = Change("gone", 1, Items.of([Item("qa", "x", "x")]))
    more = {
        "changes": (change,),
        "faults": (FAULT,),
        "journal": {1: 1},
        "not_written": ("x",),
    }
    found = (begun(one, generations={"x": "1"}).model_copy(update=more) for one in reports)
    return all_named(json.loads(report_json(View(one, Ledger.empty(one.day), (message("x"),)))) for one in found)


def recorded() -> set[str]:
    """The shape of what is recorded."""
    kinds = {
        "attempts/": of_object(Attempt),
        "results/ header": of_header(),
        "results/": of_results(),
        "ends/": of_ends(),
        "message": described(TypeAdapter(Message).json_schema()["$defs"]["Message"]),
        REPORT: of_report(),
        LEASE: described(Holder.model_json_schema(mode="serialization")),
        CARDS: {f"{place} {column}" for place, column in enumerate(COLUMNS, 1)},
        "cause": {*Cause},
    }
    return {f"{kind} {line}" for kind, lines in kinds.items() for line in lines}


async def test_what_is_recorded_and_logged_keeps_its_shape(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert_kept(recorded() | await of_log(capfdbinary), "webhook", is_of=False)


def test_what_is_sent_keeps_its_shape(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert_kept(of_webhook(monkeypatch, tmp_path), "webhook")


def assert_kept(now: set[str], kind: str, *, is_of: bool = True) -> None:
    """Compares with the lines of the kind, or with all others."""
    kept = KEPT.read_text(encoding="utf-8").splitlines()
    assert kept == sorted(set(kept)), "sorted, each line once"
    then = {line for line in kept if line.startswith(f"{kind} ") is is_of}
    assert then <= now, "\n".join((GONE, *sorted(then - now)))
    assert now <= then, "\n".join((NEW, *sorted(now - then)))

"""A later attempt at a run finds exactly what was done, or refuses the record with a clear error."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from job.config.environment import read_settings
from job.engines.calls import Call, card, financial, news, trading
from job.engines.catalog import EngineName
from job.engines.failures import Cause, Failure
from job.ledger.items import EngineItems
from job.ledger.ledger import Ledger
from job.ledger.result import CallResult
from job.planning.plan import Plan
from job.records.attempts import AttemptEntry, add_attempt
from job.records.past import read_past, read_run
from job.records.record import Record, find_inputs
from job.records.refusal import contradictions
from job.records.session import over_midnight
from job.report.format import FORMAT, RecordError, sealed, unsealed
from job.report.inputs import ConfigObject, RunInputs, pack, unpack
from job.report.outcome import UNFORESEEN, Outcome
from job.report.report import AttemptSummary, RunReport, report_of
from job.storage.store import StorageError, StoredObject
from job.text.messages import Message, message
from tests.support.fakes import plan_of, settings_of, target
from tests.support.results import result_of
from tests.support.stores import Memory, memory

__all__ = ["memory"]

PLAN = plan_of([target(name, ("news_card", "price_card")) for name in ("A", "B", "C")], settings_of())
INPUTS = RunInputs(
    run_id="run",
    started="2026-11-24T02:00:00+01:00",
    day="2026-11-24",
    date=None,
    batch_sizes={"financial": 2, "trading": 2},
    config_uri="gs://bucket/config",
    objects={"ticker_list.json": ConfigObject(generation="7", content='["A", "美联储"]')},
    version="1",
)
BARRIER_NAME = f"run/barrier-{PLAN.digest()[:16]}.json"
DATA = [financial(["A", "B"]), financial(["C"]), trading(["A", "B"]), trading(["C"])]
DATA += [news(name, "equity", name, None) for name in ("A", "B", "C")]


def finished(call: Call, failure: Failure | None = None) -> CallResult:
    return result_of(call, failure, traceparent="00-a-b-01")


def entry_of(owner: str) -> AttemptEntry:
    return AttemptEntry(owner=owner, started=INPUTS.started)


def record_of(store: Memory, owner: str = "one", replaced: str | None = None) -> Record:
    return Record(store, Ledger(PLAN), INPUTS, owner, lambda _text: None, replaced)


def note(record: Record, result: CallResult) -> None:
    """A call has ended."""
    record.ledger.add(result)
    record.journal.append(result)


async def attempt(store: Memory, *results: CallResult, owner: str = "one", cross: bool = False) -> Record:
    """A new attempt at the run, which records these calls as finished."""
    record = record_of(store, owner)
    await record.begin(entry_of(owner))
    if owner == "one":
        await record.create(INPUTS)
    await record.load()
    for result in results:
        note(record, result)
    await (record.mark_barrier() if cross else record.journal.flush())
    return record


async def done_of(store: Memory, owner: str) -> Mapping[EngineName, EngineItems]:
    """The items that a further attempt at the run finds done."""
    record = record_of(store, owner)
    await record.load()
    return record.ledger.items


def report(outcome: str) -> RunReport:
    return report_of(INPUTS, Ledger(PLAN), state=Outcome(outcome))


def closed(record: Record) -> RunReport:
    """The report of an attempt that ends now."""
    return report_of(
        INPUTS, record.ledger, [*record.attempts, AttemptSummary.of(UNFORESEEN, INPUTS, datetime.now(UTC), 1.0)]
    )


NEVER = Failure(Cause.STATUS, message("HTTP 500"), 500)


async def test_what_succeeded_is_done_and_nothing_else(memory: Memory, autojump_clock: MockClock) -> None:
    await attempt(
        memory,
        finished(financial(["A", "B"])),
        finished(trading(["B"])),
        finished(trading(["A"]), NEVER),
        finished(news("C", "equity", "C", None), Failure(Cause.INTERRUPTED, message("interrupted"))),
    )
    done = await done_of(memory, "two")
    assert {engine: items.counts().done for engine, items in done.items()} == {
        "financial": 2,
        "trading": 1,
        "news": 0,
        "qa": 0,
    }
    assert all(item in done["financial"] for item in (("A", None), ("B", None)))
    assert ("B", None) in done["trading"]
    assert [call.targets for call in PLAN.calls("financial", done["financial"])] == [("C",)]
    assert [call.targets for call in PLAN.calls("trading", done["trading"])] == [("A",), ("C",)]


async def test_warnings_are_recorded_and_the_first_of_them_kept(
    memory: Memory, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr("job.ledger.ledger.WARNINGS_KEPT", 2)
    warned = [replace(finished(call), warning=message("odd: {error}", error="x")) for call in DATA[:3]]
    await attempt(memory, *warned, *map(finished, DATA[3:]))
    again = record_of(memory, "two")
    await again.load()
    assert [call.warning for call in again.ledger.warnings] == [message("odd: {error}", error="x")] * 2
    assert [call.targets for call in again.ledger.warnings] == [call.targets for call in DATA[:2]]
    assert again.ledger.failures == []


async def test_attempts_add_up(memory: Memory, autojump_clock: MockClock) -> None:
    await attempt(memory, *map(finished, DATA), finished(card("A", "news_card", None, []), NEVER), cross=True)
    await attempt(memory, finished(card("A", "news_card", None, [])), owner="two")
    done = await done_of(memory, "three")
    assert done["qa"].counts().done == 1
    assert ("A", "news_card") in done["qa"]
    assert [done[engine].counts().done for engine in ("financial", "trading", "news")] == [3, 3, 3]


async def test_the_crossing_is_written_after_all_data_and_once(memory: Memory, autojump_clock: MockClock) -> None:
    memory.lose = lambda _verb, name: "/barrier-" in name and trio.current_time() < 3
    await attempt(memory, *map(finished, DATA), cross=True)
    order = [name for verb, name in memory.asked if verb == "create"]
    assert order[:3] == ["run/attempts/000001.json", "run/inputs.json", "run/results/one-000000.jsonl"]
    assert set(order[3:]) == {BARRIER_NAME}
    again = record_of(memory, "two")
    await again.load()
    asked = len(memory.asked)
    await again.mark_barrier()
    assert memory.asked[asked:] == [], "it was crossed before"


async def test_a_crossing_waits_for_storage(memory: Memory, autojump_clock: MockClock) -> None:
    troubles: list[Message | None] = []
    record = Record(memory, Ledger(PLAN), INPUTS, "one", troubles.append)
    memory.refuse = lambda verb, _name: verb == "create" and trio.current_time() < 20
    for call in DATA:
        note(record, finished(call))
    await record.mark_barrier()
    assert trio.current_time() >= 20
    assert BARRIER_NAME in memory.objects
    assert troubles[-1] is None


async def test_the_report_is_replaced_by_a_later_attempts_own(memory: Memory, autojump_clock: MockClock) -> None:
    first = await attempt(memory)
    assert await first.write_report(report("interrupted"), lambda: True)
    second = await attempt(memory, owner="two")
    assert await second.write_report(report("succeeded"), lambda: True)
    # one that was paused, and lost its lease meanwhile
    assert not await first.write_report(report("deadline"), lambda: False)
    assert json.loads(memory.objects["run/report.json"].data)["outcome"] == "succeeded"


async def test_the_report_of_the_run_that_holds_the_lease_is_kept(memory: Memory, autojump_clock: MockClock) -> None:
    paused = await attempt(memory)
    second = await attempt(memory, owner="two")  # it has taken over, and finds no report
    assert await paused.write_report(report("lease_lost"), lambda: False)
    memory.refuse = lambda verb, name: verb == "read" and name == "run/report.json" and trio.current_time() < 2
    assert await second.write_report(report("succeeded"), lambda: True)
    assert json.loads(memory.objects["run/report.json"].data)["outcome"] == "succeeded"


async def test_results_that_an_attempt_writes_after_it_has_lost_its_lease_do_not_open_the_record_again(
    memory: Memory, autojump_clock: MockClock
) -> None:
    paused = await attempt(memory)
    await paused.announce(INPUTS)
    note(paused, finished(financial(["A"])))
    for owner, replaced in (("two", "one"), ("three", None)):
        next_one = record_of(memory, owner, replaced)
        await next_one.begin(entry_of(owner))
        await next_one.load()
        assert await next_one.write_report(closed(next_one), lambda: True)
    await paused.journal.flush()
    written = RunReport.model_validate_json(memory.objects["run/report.json"].data)
    assert (written.attempt, written.journal) == (3, {"one": 0, "two": 0, "three": 0})
    recorded = await read_run(memory, "run")
    assert recorded
    assert recorded.report.outcome is Outcome.UNFORESEEN
    assert recorded.report.engines["financial"].done == 1, "what it has done counts"
    assert [one.outcome for one in (await read_past(memory)).runs] == [Outcome.UNFORESEEN]


async def test_a_run_without_a_record_has_no_inputs(memory: Memory, autojump_clock: MockClock) -> None:
    assert await find_inputs(memory, "run") is None
    await attempt(memory)
    assert await find_inputs(memory, "run") == INPUTS


async def test_a_run_begins_once(memory: Memory, autojump_clock: MockClock) -> None:
    await attempt(memory)
    await record_of(memory).create(INPUTS)  # our own lost write
    with pytest.raises(StorageError):
        await record_of(memory).create(INPUTS.model_copy(update={"date": "2026-01-01"}))


@given(st.text(st.characters(codec="utf-8")), st.dictionaries(st.text(st.characters(codec="utf-8")), st.integers()))
def test_inputs_come_back_as_they_were(content: str, sizes: dict[str, int]) -> None:
    inputs = INPUTS.model_copy(update={"objects": {"x": ConfigObject(generation="1", content=content)}})
    assert unpack("x", pack(inputs), "run") == inputs
    assert unsealed("x", sealed({**sizes, "format": FORMAT})) == {**sizes, "format": FORMAT}


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=4))
def test_any_damage_of_the_inputs_is_detected(place: int, damage: bytes) -> None:
    data = pack(INPUTS)
    place %= len(data)
    damaged = data[:place] + damage + data[place + len(damage) :]
    try:
        found = unpack("x", damaged, "run")
    except RecordError:
        return
    assert found == INPUTS, "white space is no damage"


def resealed(**changes: Any) -> Callable[[bytes], bytes]:
    """The object, altered by somebody who also corrects the checksum."""
    return lambda data: sealed(unsealed("x", data) | changes)


INPUTS_TAMPERED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "changed": (lambda data: data.replace(b"gs://bucket", b"gs://butter"), "was changed after it was written"),
    "cut": (lambda data: data[:50], "is not what a run writes"),
    "empty": (lambda _data: b"", "is not what a run writes"),
    "a list": (lambda _data: b"[]", "is not what a run writes"),
    "deep": (lambda _data: b"[" * 200_000, "is not what a run writes"),
    "body no object": (lambda _data: b'{"sha256": "", "body": []}', "is not what a run writes"),
    "format": (resealed(format=2), "has format 2; this version of the job knows 1"),
    "no format": (resealed(format=None), "has format None"),
    "run": (resealed(run_id="other"), "belongs to run other"),
    "date": (resealed(date="yesterday"), "has no proper date"),
    "started": (resealed(started="yesterday"), "is not what a run writes"),
    "field": (resealed(more=1), "is not what a run writes"),
    "type": (resealed(objects=[]), "is not what a run writes"),
    "batch of none": (resealed(batch_sizes={"financial": 0, "trading": 2}), "is not what a run writes"),
    "no batch": (resealed(batch_sizes={}), "is not what a run writes"),
}


@pytest.mark.parametrize("how", INPUTS_TAMPERED)
def test_inputs_that_were_tampered_with_are_refused(how: str) -> None:
    tamper, words = INPUTS_TAMPERED[how]
    with pytest.raises(RecordError, match=f"^run/inputs.json {words}"):
        unpack("run/inputs.json", tamper(pack(INPUTS)), "run")


LINE = {
    "engine": "news", "targets": ["A"], "card_type": None, "done": True, "attempts": 1, "started": 1.0, "ended": 2.0,
    "status": 200, "cause": None, "reason": None, "failed_attempts": [], "traceparent": "", "limit": 1,
}  # fmt: skip


@dataclass
class Raw:
    """A line that no `CallResult` would make."""

    data: bytes

    def line(self) -> bytes:
        return self.data


@pytest.mark.parametrize(
    "line",
    [
        {"engine": "other"},
        {"engine": ["news"]},
        {"targets": "A"},
        {"card_type": 1},
        {"started": None},
        {"failed_attempts": [1]},
        {"limit": "x"},
    ],
)
async def test_a_result_that_no_run_writes_is_refused(
    memory: Memory, line: dict[str, Any], autojump_clock: MockClock
) -> None:
    record = await attempt(memory)
    record.journal.append(cast(CallResult, Raw(json.dumps(LINE | line).encode())))
    await record.journal.flush()
    with pytest.raises(RecordError, match="is not what a run writes"):
        await record_of(memory, "two").load()


async def test_a_result_of_another_plan_is_refused(memory: Memory, autojump_clock: MockClock) -> None:
    record = await attempt(memory)
    record.journal.append(finished(card("Z", "news_card", None, [])))
    await record.journal.flush()
    with pytest.raises(RecordError, match=r"^run/results/ has results that are not of this run's plan"):
        await record_of(memory, "two").load()


BARRIERS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is not what a run writes"),
    "format": (sealed({"format": 3, "run_id": "run"}), "has format 3"),
    "another's": (sealed({"format": FORMAT, "run_id": "other"}), "belongs to run other"),
    "another plan's": (sealed({"format": FORMAT, "run_id": "run", "plan": "x"}), "belongs to another plan"),
}


@pytest.mark.parametrize("how", BARRIERS)
async def test_a_crossing_that_was_tampered_with_is_refused(
    memory: Memory, how: str, autojump_clock: MockClock
) -> None:
    await attempt(memory, *map(finished, DATA), cross=True)
    content, words = BARRIERS[how]
    memory.objects[BARRIER_NAME] = StoredObject(content, "x", 0)
    with pytest.raises(RecordError, match=f"^{BARRIER_NAME} {words}"):
        await record_of(memory, "two").load()


async def test_a_crossing_whose_data_are_gone_is_refused(memory: Memory, autojump_clock: MockClock) -> None:
    await attempt(memory, *map(finished, DATA), cross=True)
    del memory.objects["run/results/one-000000.jsonl"]
    with pytest.raises(RecordError, match=r"^run/results/ lacks data that was there when the barrier was crossed"):
        await record_of(memory, "two").load()


@pytest.mark.parametrize("gone", ["one-000001", "two-000000"])
async def test_results_that_a_closed_report_counts_are_not_requested_again_if_they_are_gone(
    memory: Memory, gone: str, autojump_clock: MockClock
) -> None:
    """The first attempt was killed, the second one closed the record, the third one was killed."""
    first = await attempt(memory, *map(finished, DATA), cross=True)
    note(first, finished(card("A", "news_card", None, [])))
    await first.journal.flush()
    second = await attempt(memory, finished(card("B", "news_card", None, [])), owner="two")
    assert await second.write_report(closed(second), lambda: True)
    await attempt(memory, finished(card("C", "news_card", None, [])), owner="three")
    assert (await done_of(memory, "four"))["qa"].counts().done == 3
    del memory.objects[f"run/results/{gone}.jsonl"]
    with pytest.raises(RecordError, match=f"^run/results/{gone}.jsonl is missing, but the report counts its results$"):
        await done_of(memory, "four")


async def test_a_report_that_is_written_while_the_record_is_read_counts_no_result_that_is_gone(
    memory: Memory, autojump_clock: MockClock
) -> None:
    """A paused attempt that has lost its lease wakes up, and writes the rest of its results and its report."""
    paused = await attempt(memory, *map(finished, DATA), cross=True)
    before = dict(memory.objects)
    note(paused, finished(card("A", "news_card", None, [])))
    await paused.write_report(closed(paused), lambda: False)
    after, memory.objects = memory.objects, before

    def wake_up(_verb: str, name: str) -> bool:
        if name == "run/report.json":
            memory.objects |= after
        return False

    memory.refuse = wake_up
    assert (await done_of(memory, "two"))["qa"].counts().done == 1


@pytest.mark.parametrize("content", [b"", b"[]", b'{"attempts": 1}', b"\xff", b"[" * 100_000])
async def test_an_unreadable_report_does_not_stop_an_attempt(
    memory: Memory, content: bytes, autojump_clock: MockClock
) -> None:
    """Nothing depends on it: it is for people, and written again."""
    await attempt(memory)
    memory.objects["run/report.json"] = StoredObject(content, "9", 0)
    record = record_of(memory, "two")
    await record.load()
    assert list(record.attempts) == []
    await record.write_report(report("succeeded"), lambda: True)
    assert json.loads(memory.objects["run/report.json"].data)["outcome"] == "succeeded"


@pytest.mark.parametrize(
    ("now", "date", "variables", "refused"),
    [
        ("2026-11-24T23:30:00+01:00", None, {}, False),
        ("2026-11-24T23:30:00+00:00", None, {}, True),
        ("2026-11-25T08:00:00+01:00", None, {}, True),
        ("2026-11-25T08:00:00+01:00", None, {"CLOUD_RUN_EXECUTION": "other"}, True),
        ("2026-11-25T08:00:00+01:00", None, {"CLOUD_RUN_EXECUTION": "run"}, False),
        ("2026-11-25T08:00:00+01:00", None, {"CLOUD_RUN_EXECUTION": "other", "CLOUD_RUN_TASK_ATTEMPT": "1"}, True),
        ("2026-11-25T08:00:00+01:00", None, {"CLOUD_RUN_EXECUTION": "opened"}, False),
        ("2026-11-25T08:00:00+01:00", None, {"RUN_ID": "run"}, True),
        ("2026-11-25T08:00:00+01:00", "2026-11-24", {}, False),
    ],
)
async def test_a_run_that_left_the_date_to_the_engines_is_not_resumed_on_another_day(
    now: str, date: str | None, variables: dict[str, str], refused: bool
) -> None:
    """Its cards would be made from data of another day. An automatic retry after midnight goes on, with a notice.

    It is one if an attempt of its execution is in the record: the number of a task attempt proves nothing, as a
    resume by hand that was refused is retried too.
    """
    store = Memory(clock=time.time)
    await add_attempt(store, "run", AttemptEntry(owner="a", started=INPUTS.started, execution="opened"), 0)
    moment = datetime.fromisoformat(now)
    settings, _ = read_settings({"CONFIG_URI": "/config", **variables}, moment)
    inputs = INPUTS.model_copy(update={"date": date})
    found = [str(fault) for fault in await contradictions(store, inputs, settings, moment, is_resumed=True)]
    said = [str(notice) for notice in over_midnight(inputs, moment, "Europe/Berlin")]
    if refused:
        (fault,) = found
        assert fault.startswith(
            "RUN_DATE: run run has no date of its own: it was started on 2026-11-24, and the engines "
        )
        first = "unset RUN_ID; then " if "RUN_ID" in variables else ""
        assert fault.endswith(f"25; {first}`RUN_DATE=2026-11-24 python -m job run` starts a new run for 2026-11-24")
    else:
        assert found == []
        is_over = bool(variables)
        assert said == is_over * [
            "run run of 2026-11-24 has no date of its own: from here on the engines use today's, 2026-11-25"
        ]


@pytest.mark.parametrize(
    ("started", "now", "zone", "refused"),
    [
        ("2026-10-25T00:30:00+02:00", "2026-10-25T23:30:00+01:00", "Europe/Berlin", False),
        ("2026-10-25T00:30:00+02:00", "2026-10-26T00:30:00+01:00", "Europe/Berlin", True),
        ("2026-10-24T23:30:00+02:00", "2026-10-25T00:30:00+02:00", "Europe/Berlin", True),
        ("2026-03-29T00:30:00+01:00", "2026-03-29T23:30:00+02:00", "Europe/Berlin", False),
        ("2026-03-29T00:30:00+01:00", "2026-03-30T00:30:00+02:00", "Europe/Berlin", True),
        ("2026-10-25T00:30:00+02:00", "2026-10-25T23:30:00+01:00", None, True),
    ],
)
async def test_the_day_of_a_run_is_that_of_its_zone_even_if_the_clocks_change_on_it(
    started: str, now: str, zone: str | None, refused: bool
) -> None:
    """An early version has not recorded the zone's name: only the offset at the start is known then."""
    store = Memory(clock=time.time)
    await add_attempt(store, "run", AttemptEntry(owner="a", started=started, zone=zone), 0)
    moment = datetime.fromisoformat(now)
    settings, _ = read_settings({"CONFIG_URI": "/config"}, moment)
    inputs = INPUTS.model_copy(update={"date": None, "started": started, "day": started[:10]})
    assert bool(await contradictions(store, inputs, settings, moment, is_resumed=True)) is refused


@pytest.mark.parametrize("change", [{"format": 2}, {"format": 2, "cards": "of a later shape"}])
async def test_a_report_of_another_format_is_refused_and_not_overwritten(
    memory: Memory, change: dict[str, object], autojump_clock: MockClock
) -> None:
    await attempt(memory)
    content = json.dumps({**json.loads(report("succeeded").model_dump_json()), **change}).encode()
    memory.objects["run/report.json"] = StoredObject(content, "9", 0)
    with pytest.raises(RecordError, match=r"^run/report\.json has format 2; this version of the job knows 1"):
        await record_of(memory, "two").load()


def test_the_plan_of_these_tests_has_calls_of_every_kind() -> None:
    assert isinstance(PLAN, Plan)
    assert PLAN.engines() == ("financial", "trading", "news", "qa")

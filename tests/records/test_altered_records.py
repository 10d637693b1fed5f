"""An altered record is refused in one sentence that names the object, wherever it is read, and hides no other run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from job.cli.main import main
from job.config.environment import read_settings
from job.config.faults import ConfigError
from job.ledger.ledger import Ledger
from job.page.render import render_page
from job.records.record import Record, find_latest_inputs
from job.report.advice import advice
from job.report.commands import Place
from job.report.format import RecordError
from job.report.outcome import ExitCode, Outcome
from job.report.report import RunReport, report_of, summary_of
from job.report.summary import pack_summary
from job.storage.uri import open_store
from tests.support.records import Recorded, write

NIGHT = Recorded("night", outcome="cards_missing", attempts=2)
OTHER = Recorded("other", started="2026-11-23T02:00:03+08:00", day="2026-11-23")
OBJECTS = NIGHT.objects()
JOURNAL = next(name for name in OBJECTS if name.endswith(".jsonl"))
BARRIER = next(name for name in OBJECTS if "barrier" in name)
INPUTS, REPORT = "night/inputs.json", "night/report.json"
READ = (INPUTS, REPORT, JOURNAL, BARRIER, "_lease.json")
ENVIRONMENT = ("RUNS_URI", "CONFIG_URI", "RUN_DATE", "RUN_ID", "CLOUD_RUN_EXECUTION", "RUN_TIME_ZONE")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where two runs are recorded, `night` and `other`."""
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RUNS_URI", str(tmp_path))
    write(tmp_path, NIGHT, OTHER, lease=NIGHT.lease())
    return tmp_path


def restore(place: Path) -> None:
    shutil.rmtree(place)
    write(place, NIGHT, OTHER, lease=NIGHT.lease())


def assert_refused_or_read(place: Path, capfd: pytest.CaptureFixture[str]) -> dict[str, tuple[int, str]]:
    """Runs every command that reads records; gives exit codes and standard errors."""
    found = {}
    for command, codes in (("runs", {0, 2}), ("report night", {0, 2}), ("verify", {0, 1})):
        code = main(command.split())
        out, err = capfd.readouterr()
        assert "Traceback" not in err, f"{command}: {err}"
        assert code in codes, f"{command}: {out}{err}"
        assert code != ExitCode.USAGE or "RUNS_URI: " in err
        if command == "runs":
            assert re.search(r"succeeded .* other$", out, re.MULTILINE), f"{out}{err}"
        found[command] = int(code), err
    assert main(["report", "other"]) == 0
    capfd.readouterr()
    trio.run(resume, place)
    return found


async def resume(place: Path) -> None:
    """Reads the record as a resumed run does, and writes the report as at its end."""
    store = open_store(str(place))
    try:
        inputs = await find_latest_inputs(store, "night")
        if inputs is None:
            return
        urls = {f"{name}_ENGINE_URL": "https://x" for name in ("FINANCIAL", "TRADING", "NEWS", "QA")}
        plan = inputs.prepare(read_settings(urls, datetime.now(UTC))[0], []).plan
        record = Record(store, Ledger(plan), inputs, "another", lambda _: None)
        await record.load()
    except (RecordError, ConfigError):
        return
    written = report_of(inputs, record.ledger, record.attempts, state=Outcome.KILLED)
    render_page(written, record.ledger, advice(written, Place.of(inputs), datetime.now(UTC)))


# --- values ---

ODD: Sequence[Any] = (
    None, True, -1, 0, 65536, 10**15, 10**30, -(10**30), 1.5, 1e300, -1e300, float("nan"), float("inf"), "", "x", "-1",
    "\x1b]0;owned\x07\x00\n", "\u202eabc", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-24",
    "2026-11-24T02:00:00", 253402300799.0, 253402300800.0, -62135596800.0, [], {}, [[]], [None], {"id": "{x}"},
    [1.0, 0.0, "x"], "night", "other", "succeeded", "bad_config", "gs://", "x://", "x" * 100_000,
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all values within a JSON value."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def changed(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """The JSON value with another value at a path; without it if that is `places`."""
    if not path:
        return odd
    copy = dict(value) if isinstance(value, dict) else list(value)
    if odd is places and len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = changed(value[path[0]], path[1:], odd)
    return copy


def sealed(body: Any) -> bytes:
    """The object with a correct checksum, as the job writes it."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    checksum = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f'{{"sha256":"{checksum}","body":{text}}}\n'.encode("utf-8", "surrogatepass")


def opened(name: str) -> list[Any]:
    """The JSON values that an object holds."""
    data = OBJECTS.get(name) or NIGHT.lease()
    values = [json.loads(line) for line in data.splitlines()]
    return [values[0]["body"]] if name in {INPUTS, BARRIER} else values


def closed(name: str, values: list[Any]) -> bytes:
    """The object that holds these values, with every checksum correct."""
    if name in {INPUTS, BARRIER}:
        return sealed(values[0])
    lines = [json.dumps(value).encode() for value in values]
    if name == JOURNAL and isinstance(values[0], dict) and "sha256" in values[0]:
        digest = hashlib.sha256(b"\n".join(lines[1:])).hexdigest()
        lines[0] = json.dumps(values[0] | {"sha256": digest}).encode()
    return b"\n".join(lines) + b"\n"


@given(st.data())
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_altered_value_is_refused_or_read(
    place: Path, capfd: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    restore(place)
    name = data.draw(st.sampled_from(READ))
    values = opened(name)
    at = data.draw(st.integers(0, len(values) - 1))
    path = data.draw(st.sampled_from(list(places(values[at]))))
    odd = data.draw(st.sampled_from([*ODD, *([places] if path else [])]))
    values[at] = changed(values[at], path, odd)
    (place / name).write_bytes(closed(name, values))
    assert_refused_or_read(place, capfd)


@given(st.data())
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_altered_bytes_are_refused_or_read(place: Path, capfd: pytest.CaptureFixture[str], data: st.DataObject) -> None:
    restore(place)
    name = data.draw(st.sampled_from(READ))
    content = (place / name).read_bytes()
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(len(content), start + 40)))
    damage = data.draw(
        st.binary(max_size=8) | st.sampled_from([b"[" * 100_000, b"\xff", b"null", b"1e999", b'"\\ud800"'])
    )
    (place / name).write_bytes(content[:start] + damage + content[end:])
    assert_refused_or_read(place, capfd)


# --- what was found once ---


def line(**changes: Any) -> Callable[[], bytes]:
    """The journal with another value in its last line."""

    def made() -> bytes:
        values = opened(JOURNAL)
        values[-1] |= changes
        return closed(JOURNAL, values)

    return made


def report(**changes: Any) -> Callable[[], bytes]:
    return lambda: closed(REPORT, [opened(REPORT)[0] | changes])


def ended(**changes: Any) -> Callable[[], bytes]:
    """The report and its last attempt with another end."""
    *attempts, last = opened(REPORT)[0]["attempts"]
    return report(**changes, attempts=[*attempts, last | changes])


def total(**changes: Any) -> Callable[[], bytes]:
    engines = opened(REPORT)[0]["engines"]
    return report(engines=engines | {"trading": engines["trading"] | changes})


def inputs(**changes: Any) -> Callable[[], bytes]:
    return lambda: closed(INPUTS, [opened(INPUTS)[0] | changes])


SEEN: dict[str, tuple[str, Callable[[], bytes]]] = {
    "attempts is a word": (JOURNAL, line(attempts="x")),
    "limit is an object": (JOURNAL, line(limit={})),
    "failed attempts are numbers": (JOURNAL, line(failed_attempts=[1])),
    "an attempt that ends before it begins": (JOURNAL, line(started=2e9, ended=1e9)),
    "a time that is not a number": (JOURNAL, line(started=float("nan"))),
    "a time after all calendars": (JOURNAL, line(ended=1e300)),
    "a time before 1970": (JOURNAL, line(started=-1.0)),
    "a time of a failed attempt": (JOURNAL, line(failed_attempts=[[1.0, 1e300, "x"]])),
    "a trace that is a number": (JOURNAL, line(traceparent=1)),
    "a status that is an object": (JOURNAL, line(status={})),
    "nobody was called": (JOURNAL, line(targets=[])),
    "an end that is no time": (REPORT, report(ended="soon")),
    "an end without an offset": (REPORT, report(ended="2026-11-24T02:00:00")),
    "a start at the end of time": (REPORT, report(started="9999-12-31T23:59:59-14:00")),
    "attempts that are a number": (REPORT, report(attempts=1)),
    "a duration that is not a number": (REPORT, report(seconds=float("nan"))),
    "an endless duration": (REPORT, report(seconds=float("inf"))),
    "another's report": (REPORT, report(run_id="other")),
    "an outcome that a terminal obeys": (REPORT, report(outcome="\x1b[2J")),
    "a success that its last attempt was not": (REPORT, report(outcome="succeeded", exit_code=0)),
    "a sentence that its last attempt has not": (REPORT, report(sentence="Everything was done.")),
    "no attempt": (REPORT, report(attempts=[])),
    "a success with another's exit code": (REPORT, ended(outcome="succeeded", exit_code=3)),
    "a failure with the exit code of a success": (REPORT, ended(exit_code=0)),
    "a success that lacks a card": (REPORT, ended(outcome="succeeded", exit_code=0)),
    "totals that do not add up": (REPORT, total(done=1)),
    "less than nothing failed": (REPORT, total(failed=-1, done=3)),
    "more cut off than failed": (REPORT, total(cut_off=1)),
    "cards that no engine made": (REPORT, report(cards={"planned": 2, "generated": 2})),
    "brackets": (REPORT, lambda: b"[" * 100_000),
    "not UTF-8": (REPORT, lambda: b"\xff\xfe\x00"),
    "inputs of brackets": (INPUTS, lambda: b"[" * 100_000),
    "inputs that are not UTF-8": (INPUTS, lambda: b"\xff\xfe\x00"),
    "another's inputs": (INPUTS, inputs(run_id="\x1b]0;owned\x07")),
    "a start without an offset": (INPUTS, inputs(started="2026-11-24T02:00:00")),
    "a start before the calendar": (INPUTS, inputs(started="0001-01-01T00:00:00+14:00")),
    "a day that is none": (INPUTS, inputs(day="2026-13-24")),
    "a place that is none": (INPUTS, inputs(config_uri="a\0b")),
    "a batch of a million": (INPUTS, inputs(batch_sizes={"financial": 10**6, "trading": 1})),
}


@pytest.mark.parametrize("how", SEEN)
def test_an_altered_object_is_named_and_hides_no_other_run(
    place: Path, capfd: pytest.CaptureFixture[str], how: str
) -> None:
    name, alter = SEEN[how]
    (place / name).write_bytes(alter())
    found = assert_refused_or_read(place, capfd)
    code, err = found["report night"]
    assert code == ExitCode.USAGE
    assert err.startswith(f"RUNS_URI: {name} "), err
    assert err.count("\n") == 1
    if name in {INPUTS, REPORT}:
        code, err = found["runs"]
        assert code == ExitCode.USAGE
        assert err.startswith(f"RUNS_URI: {name} "), err


def test_a_number_that_no_run_can_count_is_refused_by_name(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ledger = Ledger(NIGHT.inputs.plan())
    for result in NIGHT.results():
        ledger.add(result)
    written = RunReport.model_validate_json(OBJECTS[REPORT])
    for name, data, command in (
        (REPORT, OBJECTS[REPORT], "report night"),
        ("night/summary.json", pack_summary(summary_of(written, ledger, None)), f"nights --page {place / 'page'}"),
    ):
        value = json.loads(data)
        for path in places(value):
            if path[-1:] not in {("format",), ("exit_code",)} and type(read := at(value, path)) in {int, float}:
                (place / name).write_text(json.dumps(changed(value, path, type(read)(1e300) * 10**8)))
                code = main(command.split())
                _, err = capfd.readouterr()
                assert (code, err.count("\n")) == (ExitCode.USAGE, 1), f"{path}: {err}"
                assert f"{name} is not what a run writes" in err, path
        (place / name).write_bytes(data)
        assert main(command.split()) == ExitCode.DONE
        capfd.readouterr()


def at(value: Any, path: tuple[Any, ...]) -> Any:
    """The value at a path within a JSON value."""
    for step in path:
        value = value[step]
    return value


def test_a_report_whose_inputs_are_gone_is_refused(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (place / INPUTS).unlink()
    found = assert_refused_or_read(place, capfd)
    for command in ("runs", "report night"):
        assert found[command] == (ExitCode.USAGE, f"RUNS_URI: {INPUTS} is missing\n")


def test_a_report_whose_results_are_gone_is_refused(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (place / JOURNAL).unlink()
    code, err = assert_refused_or_read(place, capfd)["report night"]
    assert (code, err) == (ExitCode.USAGE, f"RUNS_URI: {JOURNAL} is missing, but the report counts its results\n")


ENTRIES = {
    b"20261124T000000Z_caf\xe9": '"_started/20261124T000000Z_caf\\udce9"',
    b"zzz": '"_started/zzz"',
    b"20261324T000000Z_night": '"_started/20261324T000000Z_night"',
    b"20261124T000000Z_\x1b[2J": '"_started/20261124T000000Z_\\u001b[2J"',
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_that_no_run_writes_is_named_and_hides_no_run(
    place: Path, capfd: pytest.CaptureFixture[str], entry: bytes
) -> None:
    (Path(os.fsdecode(bytes(place / "_started") + b"/" + entry))).write_bytes(b"")
    found = assert_refused_or_read(place, capfd)
    assert found["runs"] == (ExitCode.USAGE, f"RUNS_URI: {ENTRIES[entry]} is not what a run writes; remove it\n")
    assert found["report night"] == (0, "")


def test_a_journal_object_whose_name_is_not_utf_8_is_named(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path(os.fsdecode(bytes(place / "night/results") + b"/\xff.jsonl")).write_bytes(b"{}\n")
    assert main(["report", "night"]) == ExitCode.USAGE
    assert "RUNS_URI: night/results/\\udcff.jsonl is not what a run writes" in capfd.readouterr().err


def test_unreadable_entries_beyond_the_limit_are_counted(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for number in range(300):
        (place / "_started" / f"zzz-{number}").touch()
    assert main(["runs"]) == ExitCode.USAGE
    out, err = capfd.readouterr()
    assert "succeeded" in out
    assert len(err.splitlines()) == 11
    assert err.endswith("RUNS_URI: and 290 more under _started/\n")


@pytest.mark.parametrize("name", [None, ".DS_Store", ".report.json.swp", "._report.json", ".partial-1"])
def test_the_record_is_sound_before_it_is_altered_and_with_hidden_files_of_other_programs(
    place: Path, capfd: pytest.CaptureFixture[str], name: str | None
) -> None:
    for folder in (".", "_started", "night", "night/results"):
        if name is not None:
            (place / folder / name).write_bytes(b"\0")
    found = assert_refused_or_read(place, capfd)
    assert [code for code, _ in found.values()] == [0, 0, 1]
    assert {err for _, err in found.values()} == {""}

"""What a rehearsal knows of past nights, from their records."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from job.cli.rehearse import OutageAt
from job.engines.failures import Cause
from job.records.past import read_past
from job.rehearsal.play import play
from job.rehearsal.recorded import Answer, read_nights
from job.report.format import SUMMARY, name_of
from job.storage.store import StorageError
from tests.rehearsal.recorded import URI, known, moved, night, record, scenario
from tests.support.nights import START
from tests.support.results import result_of, tried
from tests.support.stores import Memory

if TYPE_CHECKING:
    from job.ledger.result import CallResult
    from job.rehearsal.recorded import RecordedNight
    from tests.support.nights import Night

NOW = START.timestamp()


def of(results: list[CallResult], one: Night | None = None) -> RecordedNight:
    shifted = list(moved(results, timedelta(seconds=NOW)))
    return known(one or night(5), shifted)


def test_the_halves_of_a_batch_tell_of_the_whole_that_failed() -> None:
    call = next(iter(night(5).plan().calls("trading")))
    failed = tried((1.0, 9.0, "HTTP 503"))
    halves = [
        result_of(replace(call, targets=call.targets[:3]), started=10.0, ended=14.0, failed_attempts=failed),
        result_of(replace(call, targets=call.targets[3:]), started=10.5, ended=12.0, failed_attempts=failed),
    ]
    assert of(halves).courses == {
        ("trading", 5): [(Answer(8.0, Cause.STATUS, 503, 5),)],
        ("trading", 3): [(Answer(4.0, None, 200, 0),)],
        ("trading", 2): [(Answer(1.5, None, 200, 0),)],
    }


def test_the_rest_of_a_batch_tells_how_many_of_it_failed() -> None:
    call = next(iter(night(5).plan().calls("trading")))
    parts = [
        result_of(replace(call, targets=call.targets[1:]), started=1.0, ended=9.0),
        result_of(
            replace(call, targets=call.targets[:1]),
            started=10.0,
            ended=12.0,
            failed_attempts=tried((1.0, 9.0, "{ticker}: no data")),
        ),
    ]
    assert of(parts).courses == {
        ("trading", 5): [(Answer(8.0, Cause.DENIED, 200, 1),)],
        ("trading", 1): [(Answer(2.0, None, 200, 0),)],
    }


def test_attempts_that_are_not_listed_are_like_the_first_that_is() -> None:
    call = next(iter(night(5).plan().calls("qa")))
    listed = tried(*((float(number), number + 0.5, "HTTP 503") for number in range(10)))
    (course,) = of([result_of(call, started=20.0, ended=22.0, attempts=15, failed_attempts=listed)]).courses[
        "qa", "news_card"
    ]
    assert [answer.status for answer in course] == [503] * 14 + [200]


def test_a_rejection_is_no_answer_but_tells_that_there_was_no_room() -> None:
    call = next(iter(night(5).plan().calls("qa")))
    found = of(
        [
            result_of(call, started=0.0, ended=20.0, limit=9),
            result_of(call, started=6.0, ended=30.0, limit=7, failed_attempts=tried((5.0, 5.1, "HTTP 429"))),
        ]
    )
    assert [len(course) for course in found.courses["qa", "news_card"]] == [1, 1]
    room = found.room["qa"]
    assert (room.limit(5.0), room.limit(40.0), room.limit(60.0)) == (9, 9, float("inf"))
    assert room.seconds == pytest.approx(0.1)


def test_what_was_cut_off_tells_nothing() -> None:
    call = next(iter(night(5).plan().calls("qa")))
    done = result_of(call)
    cut = replace(done, done=False, cause=Cause.INTERRUPTED)
    assert len(of([done, cut]).courses["qa", "news_card"]) == 1


def test_the_time_before_the_first_call_and_that_of_the_barrier_count() -> None:
    one = night(20)
    results = list(one.results())
    later = [replace(r, started=r.started + 30 + 7 * (r.engine == "qa"), ended=r.ended + 30 + 7 * (r.engine == "qa"))
             for r in results]  # fmt: skip
    before, after = known(one, results), known(one, later)
    assert (before.first_call, round(before.barrier, 3)) == (0.0, 0.0)
    assert (after.first_call, round(after.barrier, 3)) == (30.0, 7.0)
    took = [play(scenario(one), [found], "1").ended for found in (before, after)]
    assert took[1] - took[0] == pytest.approx(37.0)


# --- from the records ---


def stored(*nights: Night) -> Memory:
    """The records of nights, the newest first."""
    store = Memory(clock=time.time)
    for number, one in enumerate(nights):
        for name, data in record(one, number).items():
            store.create(name, data)
    return store


async def read(store: Memory, uri: str = URI, objects: int = 1000) -> list[RecordedNight]:
    nights, _ = await read_nights(store, (await read_past(store)).runs, uri, objects)
    return nights


async def test_a_night_is_read_as_it_was() -> None:
    one = night(10)
    (found,) = await read(stored(one))
    expected = replace(known(one), run_id="night-0", started=found.started, plan=found.plan)
    assert found.started == datetime.fromtimestamp(NOW, UTC)
    assert found.seconds == pytest.approx(expected.seconds)
    assert found.concurrency == one.concurrency
    assert {kind: len(some) for kind, some in found.courses.items()} == {
        kind: len(some) for kind, some in expected.courses.items()
    }


async def test_nights_of_another_config_are_left_out() -> None:
    assert await read(stored(night(10)), "gs://trial/config") == []


async def test_a_night_that_a_resume_has_ended_has_the_answers_of_its_first_attempt_and_no_end() -> None:
    store = stored(night(10))
    (name,) = (name for name in store.objects if "/results/" in name)
    head, _, body = store.objects[name].data.partition(b"\n")
    header = json.loads(head) | {"owner": "later"}
    store.create(name.replace("owner", "later"), json.dumps(header).encode() + b"\n" + body)
    summary = json.loads(store.objects[name_of("night-0", SUMMARY)].data) | {"attempts": 2, "attempt": 2}
    summary["journal"]["later"] = 1
    store.objects.pop(name_of("night-0", SUMMARY))
    store.create(name_of("night-0", SUMMARY), json.dumps(summary).encode())
    (found,) = await read(store)
    assert len(found.courses["qa", "news_card"]) == 10
    assert found.seconds is None


async def test_of_a_long_journal_a_sample_is_read_with_its_first_and_last_part() -> None:
    store = stored(night(10))
    (name,) = (name for name in store.objects if "/results/" in name)
    whole = store.objects.pop(name).data
    head, lines = json.loads(whole.partition(b"\n")[0]), whole.splitlines()[1:]
    for number in range(40):
        part = [*lines[number::40]]
        header = head | {"sequence": number, "sha256": hashlib.sha256(b"\n".join(part)).hexdigest()}
        store.create(f"{name[:-12]}{number:06}.jsonl", b"\n".join([json.dumps(header).encode(), *part, b""]))
    store.asked.clear()
    (found,) = await read(store, objects=20)
    parts = sorted(name for verb, name in store.asked if verb == "read" and "/results/" in name)
    assert len(parts) == 20
    assert (parts[0][-11:], parts[-1][-11:]) == ("00000.jsonl", "00039.jsonl")
    assert found.barrier == 0.0


async def test_a_failure_of_storage_is_one_and_an_altered_record_is_left_out() -> None:
    store = stored(night(10), night(10))
    there = store.objects["night-0/inputs.json"]
    store.replace("night-0/inputs.json", b"altered", there.generation)
    past = await read_past(store)
    nights, _ = await read_nights(store, past.runs, URI, 1000)
    assert [one.run_id for one in nights] == ["night-1"]
    store.refuse = lambda verb, name: verb == "read" and "/results/" in name
    with pytest.raises(StorageError):
        await read_nights(store, past.runs, URI, 1000)


TIMES = {"02:30": 1800.0, "01:30": -1800.0, "23:00": -3 * 3600.0, "13:59": 11 * 3600 + 59 * 60.0}


@pytest.mark.parametrize(("time_of_day", "seconds"), TIMES.items())
def test_an_outage_is_the_one_nearest_to_the_start(time_of_day: str, seconds: float) -> None:
    hour, minute = map(int, time_of_day.split(":"))
    found = OutageAt("qa", hour, minute, 600.0).near(START.replace(second=0))
    assert (found.begins, found.ends) == (seconds, seconds + 600.0)

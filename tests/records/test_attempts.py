"""The attempts at a run are numbered in its record: the latest has the highest number, and no entry is ever changed."""

from __future__ import annotations

import json
import time

import pytest

from job.records.attempts import AttemptEntry, add_attempt, latest_number, owners, read_attempts, read_latest
from job.report.format import RecordError
from job.storage.store import ObjectStore, StorageError, StoredObject, in_thread
from tests.support.stores import Memory, store

__all__ = ["store"]

FIRST, SECOND, THIRD = (f"night/attempts/00000{number}.json" for number in (1, 2, 3))


def entry(owner: str, **changes: object) -> AttemptEntry:
    given = {"owner": owner, "started": "2026-11-24T02:00:03+08:00", "arguments": ("resume", "night")}
    return AttemptEntry.model_validate(given | changes)


async def test_attempts_are_numbered_from_1_and_read_in_their_order(store: ObjectStore) -> None:
    added = [await add_attempt(store, "night", entry(owner), 0) for owner in "ba"]
    await add_attempt(store, "other", entry("c"), 0)
    assert [(one.number, one.owner) for one in added] == [(1, "b"), (2, "a")]
    assert await read_attempts(store, "night") == added
    assert await in_thread(lambda: store.names("night/")) == [FIRST, SECOND]


async def test_a_run_of_an_early_version_has_no_attempts() -> None:
    store = Memory(clock=time.time)
    store.create("night/inputs.json", b"{}")
    assert await read_attempts(store, "night") == []


async def test_an_attempt_whose_number_another_has_taken_takes_the_next_one_and_overwrites_nothing() -> None:
    store = Memory(clock=time.time)
    await add_attempt(store, "night", entry("a"), 0)
    others = iter("bc")

    def overtake(verb: str, _name: str) -> bool:
        """Between the look at the names and the write, another process adds its attempt."""
        if verb == "create" and (other := next(others, None)) is not None:
            number = len(store.objects) + 1
            data = entry(other, number=number).model_dump_json().encode()
            store.objects[f"night/attempts/{number:06}.json"] = StoredObject(data, other, 0.0)
        return False

    store.refuse = overtake
    added = await add_attempt(store, "night", entry("d"), 0)
    assert added.number == 4
    assert [(one.number, one.owner) for one in await read_attempts(store, "night")] == list(enumerate("abcd", start=1))
    assert store.count("replace") == 0


async def test_the_latest_attempt_is_found_by_the_names_of_the_record(store: ObjectStore) -> None:
    assert await read_latest(store, "night", ["night/inputs.json"]) is None
    for owner in "ab":
        await add_attempt(store, "night", entry(owner, card_url=f"https://h/{owner}/{{ticker}}"), 0)
    latest = await read_latest(store, "night", [FIRST, SECOND, "night/inputs.json"])
    assert latest is not None
    assert (latest.number, latest.card_url) == (2, "https://h/b/{ticker}")


async def test_a_recorded_link_that_no_run_would_write_is_refused() -> None:
    """It would be on the page that is made again."""
    store = Memory(clock=time.time)
    altered = entry("a", number=1).model_dump() | {"card_url": "javascript:alert(1)"}
    store.create(FIRST, json.dumps(altered).encode())
    with pytest.raises(RecordError, match=r"000001\.json is not what a run writes"):
        await read_latest(store, "night", [FIRST])


async def test_a_later_attempt_has_a_higher_number_even_if_entries_are_gone() -> None:
    store = Memory(clock=time.time)
    for owner in "abc":
        await add_attempt(store, "night", entry(owner), 0)
    del store.objects[FIRST], store.objects[SECOND], store.objects[THIRD]
    assert (await add_attempt(store, "night", entry("d"), 3)).number == 4, "the report has the number 3"


async def test_a_failure_of_storage_is_no_conflict() -> None:
    store = Memory(clock=time.time, refuse=lambda verb, _: verb == "create")
    with pytest.raises(StorageError):
        await add_attempt(store, "night", entry("a"), 0)
    assert store.count("create") == 1


async def test_fields_that_a_later_version_adds_are_ignored() -> None:
    store = Memory(clock=time.time)
    added = await add_attempt(store, "night", entry("a"), 0)
    value = json.loads(store.objects[FIRST].data) | {"asked_for": ["AAPL"]}
    store.objects[FIRST] = StoredObject(json.dumps(value).encode(), "9", 0.0)
    assert await read_attempts(store, "night") == [added]


FOREIGN = {
    "no JSON": (b"\xff", "is not what a run writes"),
    "a list": (b"[]", "is not what a run writes"),
    "deep": (b"[" * 100_000, "is not what a run writes"),
    "no owner": (b'{"format": 1, "number": 2, "started": "2026-11-24T02:00:03+08:00"}', "is not what a run writes"),
    "no time": (entry("b", number=2).model_dump_json().replace("2026-", "later-").encode(), "is not what a run writes"),
    "another format": (entry("b", number=2, format=2).model_dump_json().encode(), "has format 2; this version"),
    "another number": (entry("b", number=3).model_dump_json().encode(), "has another number: 3"),
}


@pytest.mark.parametrize("how", FOREIGN)
async def test_a_foreign_entry_is_refused_by_name(how: str) -> None:
    data, words = FOREIGN[how]
    store = Memory(clock=time.time)
    await add_attempt(store, "night", entry("a"), 0)
    store.create(SECOND, data)
    with pytest.raises(RecordError, match=f"^{SECOND} {words}"):
        await read_attempts(store, "night")


async def test_objects_with_other_names_are_no_attempts() -> None:
    names = ["1.json", "000000.json", "0000002.json", "000002.txt", "x.json", "\u0662.json", "-00002.json"]
    store = Memory(clock=time.time)
    await add_attempt(store, "night", entry("a"), 0)
    for name in names:
        store.create(f"night/attempts/{name}", b"{}")
    assert [one.owner for one in await read_attempts(store, "night")] == ["a"]
    assert latest_number("night", store.names("night/")) == 1
    assert latest_number("night", [THIRD, FIRST, "other/attempts/000009.json"]) == 3
    assert latest_number("night", []) == 0


def test_the_owners_are_those_of_the_journal() -> None:
    names = ["night/results/a-000000.jsonl", "night/results/a-000001.jsonl", "night/results/b-c-000000.jsonl", FIRST]
    assert owners("night", [*names, "other/results/d-000000.jsonl"]) == {"a", "b-c"}

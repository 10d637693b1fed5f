"""Every object store keeps the same promises. A file of a directory is complete, absent or a fault, whatever it is."""

import fcntl
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import trio

from job.storage.store import (
    THREADS,
    ConflictError,
    ObjectStore,
    StorageError,
    UnusableError,
    in_thread,
    in_thread_to_its_end,
)
from job.storage.uri import open_store
from tests.simulators import do, when
from tests.simulators.service import Fault
from tests.support.stores import Memory, open_bucket, read_many, store

__all__ = ["store"]


async def test_what_was_written_is_read(store: ObjectStore) -> None:
    before = await in_thread(lambda: store.create("a/clock", b""))
    made = await in_thread(lambda: store.create("a/b.json", b'{"x": 1}'))
    there = await in_thread(lambda: store.read("a/b.json"))
    assert there == made
    assert there.data == b'{"x": 1}'
    assert 0 <= made.updated - before.updated < 10
    part = await in_thread(lambda: store.read("a/b.json", 3))
    assert part is not None
    assert (part.data, part.generation) == (b'{"x', made.generation)
    assert await in_thread(lambda: store.read("a/c.json")) is None
    assert await in_thread(lambda: store.content("a/b.json")) == there.data
    assert await in_thread(lambda: store.content("a/c.json")) is None


async def test_an_object_is_created_once(store: ObjectStore) -> None:
    made = await in_thread(lambda: store.create("a", b"1"))
    assert await in_thread(lambda: store.create("a", b"1")) == made, "the same again may be our own lost write"
    with pytest.raises(ConflictError):
        await in_thread(lambda: store.create("a", b"2"))
    assert await in_thread(lambda: store.read("a")) == made


async def test_an_object_is_replaced_only_if_nobody_has_changed_it(store: ObjectStore) -> None:
    first = await in_thread(lambda: store.create("a", b"1"))
    second = await in_thread(lambda: store.replace("a", b"2", first.generation))
    assert second.generation != first.generation
    assert await in_thread(lambda: store.read("a")) == second
    with pytest.raises(ConflictError):
        await in_thread(lambda: store.replace("a", b"3", first.generation))
    with pytest.raises(ConflictError):
        await in_thread(lambda: store.replace("b", b"3", first.generation))
    assert await in_thread(lambda: store.read("a")) == second


async def test_a_generation_is_new_even_if_the_content_is_not(store: ObjectStore) -> None:
    stored = await in_thread(lambda: store.create("a", b"1"))
    known = {stored.generation}
    for _ in range(5):
        stored = await in_thread(partial(store.replace, "a", b"1", stored.generation))
        known.add(stored.generation)
    assert len(known) == 6


@pytest.mark.parametrize("verb", ["create", "replace"])
async def test_of_several_who_write_one_wins(store: ObjectStore, verb: str) -> None:
    first = "" if verb == "create" else (await in_thread(lambda: store.create("a", b"0"))).generation
    won: list[bytes] = []

    async def write(data: bytes) -> None:
        try:
            await in_thread(lambda: store.replace("a", data, first) if first else store.create("a", data))
        except ConflictError:
            return
        won.append(data)

    async with trio.open_nursery() as nursery:
        for number in range(1, 9):
            nursery.start_soon(write, b"%d" % number)
    there = await in_thread(lambda: store.read("a"))
    assert there is not None
    assert won == [there.data]


async def test_names_and_folders_are_those_with_the_prefix_in_order(store: ObjectStore) -> None:
    assert await in_thread(lambda: (store.names("x/"), store.folders(""))) == ([], [])
    for name in ("x/2", "x/10/a", "x/10/sub/b", "x/1/a", "xy/1", "y"):
        await in_thread(partial(store.create, name, b""))
    for prefix, names in {
        "x/": ["x/1/a", "x/10/a", "x/10/sub/b", "x/2"],
        "x/10": ["x/10/a", "x/10/sub/b"],
        "z": [],
    }.items():
        assert await in_thread(partial(store.names, prefix)) == names
    for prefix, folders in {"": ["x", "xy"], "x/": ["x/1", "x/10"], "x/10": ["x/10"], "z/": []}.items():
        assert await in_thread(partial(store.folders, prefix)) == folders


async def test_after_a_signal_no_write_is_begun() -> None:
    done: list[str] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        await in_thread_to_its_end(lambda: done.append("written"))
    assert (scope.cancelled_caught, done) == (True, [])


def test_a_write_to_a_directory_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    store = open_store(str(tmp_path), make=True)
    first = store.create("a", b"1")
    monkeypatch.setattr(os, "fsync", full)
    for write in (partial(store.create, "b", b"1"), partial(store.replace, "a", b"2", first.generation)):
        with pytest.raises(StorageError, match="No space left on device"):
            write()
    assert store.read("a") == first
    assert [path.name for path in tmp_path.iterdir() if path.name != ".lock"] == ["a"]


@pytest.mark.needs("emulator")
async def test_a_bucket_says_what_is_wrong_with_it(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_bucket(nursery, monkeypatch) as bucket:
        elsewhere = open_store("gs://no-such-bucket/runs")
        for use in (partial(elsewhere.names, "a"), partial(elsewhere.create, "a", b"")):
            with pytest.raises(StorageError, match=r"^gs://no-such-bucket: there is no such bucket$"):
                await in_thread(use)
        for said in (
            "job@p does not have storage.objects.get access to the Google Cloud Storage object.",
            "Object 'simulated-runs/runs/a' is subject to bucket's retention policy until 2026-11-25T14:32:00Z",
        ):
            bucket.script(Fault(when.always, do.status(403, {"error": {"code": 403, "message": said}})))
            for act in (partial(bucket.store.read, "a"), partial(bucket.store.create, "a", b"")):
                with pytest.raises(StorageError) as refused:
                    await in_thread(act)
                assert str(refused.value) == f"gs://simulated-runs/runs/a: access is denied ({said.rstrip('.')})"


# --- requests run in a few threads ---


async def test_an_urgent_request_does_not_queue_behind_others() -> None:
    gate = threading.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(2 * THREADS):
            nursery.start_soon(in_thread, gate.wait)
        await trio.testing.wait_all_tasks_blocked()
        try:
            with trio.fail_after(30):
                assert await in_thread(lambda: "done", urgent=True) == "done"
        finally:
            gate.set()


async def test_a_request_that_does_not_end_is_given_up_and_delays_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("job.storage.store.ANSWER_SECONDS", 0.05)
    gate = threading.Event()
    try:
        for _ in range(2):  # the second does not queue behind the first
            with pytest.raises(StorageError, match=r"^storage did not answer in time$"), trio.fail_after(30):
                await in_thread(gate.wait, urgent=True)
    finally:
        gate.set()


async def test_a_read_that_fails_gives_up_the_others() -> None:
    down, begun = Memory(clock=trio.current_time), 0

    def read(_name: str, _limit: int | None = None) -> None:
        nonlocal begun
        begun += 1
        raise StorageError("down")

    down.read = read  # type: ignore[method-assign,assignment]
    with pytest.raises(StorageError, match=r"^down$"):
        await read_many(down, [f"n{number}" for number in range(20 * THREADS)])
    assert begun <= 2 * THREADS


async def test_a_request_waits_for_few_of_many_reads() -> None:
    """A long record is read while other requests are made: each of them gets a thread at its turn."""
    slow, done = Memory(clock=trio.current_time), 0

    def read(_name: str, _limit: int | None = None) -> None:
        nonlocal done
        time.sleep(0.01)
        done += 1

    slow.read = read  # type: ignore[method-assign,assignment]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_many, slow, [f"n{number}" for number in range(8 * THREADS)])
        await trio.testing.wait_all_tasks_blocked()
        assert await in_thread(lambda: done) <= 4 * THREADS


# --- a directory ---

ODD_ENTRIES: dict[str, tuple[Callable[[Path], object], str]] = {
    "dangling link": (lambda path: path.symlink_to("nowhere"), " is not a file; replace it with a file or remove it"),
    "directory": (Path.mkdir, " is not a file; replace it with a file or remove it"),
    "link to itself": (lambda path: path.symlink_to(path.name), ": Too many levels of symbolic links"),
}


@pytest.mark.parametrize("kind", ODD_ENTRIES)
def test_an_entry_that_is_not_a_file_is_a_fault_and_among_the_names(tmp_path: Path, kind: str) -> None:
    """A result that cannot be read must not count as one that was never made."""
    make, words = ODD_ENTRIES[kind]
    make(tmp_path / "a")
    store = open_store(str(tmp_path))
    with pytest.raises(StorageError) as error:
        store.read("a")
    assert str(error.value) == f"{tmp_path / 'a'}{words}"
    assert store.names("") == ([] if kind == "directory" else ["a"])


def test_the_name_of_a_written_file_is_synced_to_the_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda number: flushed.append(str(Path(f"/proc/self/fd/{number}").readlink())))
    store = open_store(str(tmp_path), make=True)
    stored = store.create("run/results/a", b"1")
    assert flushed[-1] == str(tmp_path / "run" / "results")
    assert str(tmp_path / "run") in flushed, "the folder was new"
    flushed.clear()
    store.replace("run/results/a", b"2", stored.generation)
    assert flushed[1:] == [str(tmp_path / "run" / "results")]


def test_a_folder_that_cannot_be_listed_is_not_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "a").write_bytes(b"1")
    scandir = os.scandir

    def denied(path: str) -> object:
        if os.fspath(path).endswith("results"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)  # root may list every folder
    store = open_store(str(tmp_path))
    for use in (partial(store.names, "results/"), partial(store.names, "r"), partial(store.folders, "results/")):
        with pytest.raises(StorageError, match="Permission denied"):
            use()


def test_a_change_waits_for_one_of_another_process(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), make=True)
    first = store.create("a", b"1")
    changed = threading.Event()

    def change() -> None:
        store.replace("a", b"2", first.generation)
        changed.set()

    with (tmp_path / ".lock").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        threading.Thread(target=change, daemon=True).start()
        time.sleep(0.1)
        assert store.read("a") == first
    assert changed.wait(30.0)
    assert store.content("a") == b"2"


def test_a_place_that_can_never_have_records_says_so_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    what = "is not a directory in which this user may write; set it to gs://BUCKET/PREFIX or to a directory"
    for place in (tmp_path / "file", tmp_path / "file" / "runs", Path("/proc/runs")):
        with pytest.raises(UnusableError) as error:
            open_store(str(place), make=True).read("a")
        assert str(error.value) == f"{place} {what}"
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may write anywhere
    with pytest.raises(UnusableError):
        open_store(str(tmp_path), make=True).names("")
    assert open_store(str(tmp_path)).names("") == ["file"], "to read it is enough to be able to read"


def test_what_is_hidden_is_not_listed_nor_entered(tmp_path: Path) -> None:
    for name in ("a.json", ".DS_Store", ".venv/b.json", "c/.git/d"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert open_store(str(tmp_path)).names("") == ["a.json"]

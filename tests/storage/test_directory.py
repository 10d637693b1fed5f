"""A file of a directory is complete, absent or a fault, also if its name is of something else than a file."""

import fcntl
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from job.storage.store import StorageError, UnusableError
from job.storage.uri import open_store

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
        second = store.replace("a", b"2", first.generation)
        store.delete("a", second.generation)
        changed.set()

    with (tmp_path / ".lock").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        threading.Thread(target=change, daemon=True).start()
        time.sleep(0.1)
        assert store.read("a") == first
    assert changed.wait(30.0)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_place_for_records_that_can_never_be_used_says_so_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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

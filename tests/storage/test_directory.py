"""A file of a directory is complete, absent or a fault; no request to a directory waits without a limit."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import trio

from job.storage import directory
from job.storage.store import StorageError, UnusableError, in_thread
from job.storage.uri import open_store


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def make_fifo_elsewhere(path: Path) -> None:
    os.mkfifo(f"{path}.fifo")
    path.symlink_to(f"{path}.fifo")


ODD_ENTRIES: dict[str, tuple[Callable[[Path], object], str]] = {
    "dangling link": (lambda path: path.symlink_to("nowhere"), "is a link to nowhere, which does not exist"),
    "FIFO": (os.mkfifo, "is a FIFO, not a file"),
    "link to a FIFO": (make_fifo_elsewhere, "is a FIFO, not a file"),
    "socket": (make_socket, "is a socket, not a file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "is a device, not a file"),
    "directory": (Path.mkdir, "is a directory, not a file"),
    "link to itself": (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
}


@pytest.mark.parametrize("kind", ODD_ENTRIES)
async def test_an_entry_that_is_not_a_file_is_a_fault(tmp_path: Path, kind: str) -> None:
    make, words = ODD_ENTRIES[kind]
    make(tmp_path / "a")
    store = open_store(str(tmp_path))
    with trio.fail_after(2), pytest.raises(StorageError) as error:
        await in_thread(lambda: store.read("a"))
    assert str(error.value).startswith(f"{tmp_path / 'a'}")
    assert words in str(error.value)
    if kind != "link to itself":
        assert error.value.remedy
        assert str(error.value).endswith(f"; {error.value.remedy}")


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


@pytest.mark.parametrize("change", ["removed", "replaced with a FIFO"])
async def test_a_file_that_is_removed_while_it_is_read_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    (tmp_path / "a").write_bytes(b"1")
    check_file = directory._check_file

    def check_then_change(path: Path, status: os.stat_result) -> None:
        check_file(path, status)
        path.unlink()
        if change != "removed":
            os.mkfifo(path)

    monkeypatch.setattr(directory, "_check_file", check_then_change)
    store = open_store(str(tmp_path))
    words = "was removed while it was read; " if change == "removed" else "is a FIFO, not a file"
    with trio.fail_after(2), pytest.raises(StorageError, match=words):
        await in_thread(lambda: store.read("a"))


@pytest.mark.parametrize("kind", [kind for kind in ODD_ENTRIES if kind != "directory"])
def test_an_entry_that_is_not_a_file_is_among_the_names(tmp_path: Path, kind: str) -> None:
    """A result that cannot be read must not count as one that was never made."""
    (tmp_path / "results").mkdir()
    ODD_ENTRIES[kind][0](tmp_path / "results" / "a")
    assert "results/a" in open_store(str(tmp_path)).names("results/")


def test_a_link_to_a_file_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"1")
    (tmp_path / "a").symlink_to(tmp_path / "elsewhere")
    stored = open_store(str(tmp_path)).read("a")
    assert stored is not None
    assert stored.data == b"1"


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
    for prefix in ("results/", "r"):
        with pytest.raises(StorageError, match="Permission denied"):
            store.names(prefix)
    with pytest.raises(StorageError, match="Permission denied"):
        store.folders("results/")


@pytest.mark.parametrize("verb", ["replace", "delete"])
def test_a_lock_that_another_holds_is_waited_for_and_then_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setattr(directory, "LOCK_SECONDS", 0.3)
    store = open_store(str(tmp_path), make=True)
    first = store.create("a", b"1")
    change = partial(store.replace, "a", b"2") if verb == "replace" else partial(store.delete, "a")
    with (tmp_path / ".lock").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        began = time.monotonic()
        with pytest.raises(StorageError, match=r"/\.lock has been held by another process for 0\.3 s; "):
            change(first.generation)
        assert 0.3 <= time.monotonic() - began < 2
        assert store.read("a") == first
    change(first.generation)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", *(["a"] if verb == "replace" else [])]


async def test_a_lock_that_is_not_a_file_is_not_waited_for(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), make=True)
    first = store.create("a", b"1")
    os.mkfifo(tmp_path / ".lock")
    with trio.fail_after(2):
        await in_thread(lambda: store.replace("a", b"2", first.generation))


def test_a_place_for_records_that_can_never_be_used_says_so_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    for place, what in (
        (tmp_path / "file", "is not a directory"),
        (tmp_path / "file" / "runs", "is not a directory"),
        (Path("/proc/runs"), "cannot be created"),
    ):
        with pytest.raises(UnusableError) as error:
            open_store(str(place), make=True).read("a")
        assert str(error.value) == f"{place} {what}; name a directory that can be written"
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may write anywhere
    with pytest.raises(UnusableError, match="is a directory in which this user may not write"):
        open_store(str(tmp_path), make=True).names("")
    assert open_store(str(tmp_path)).names("") == ["file"], "to read it is enough to be able to read"

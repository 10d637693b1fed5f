"""A test that is to be alone waits for those that run, and none begins before it has ended."""

from __future__ import annotations

import fcntl
import threading
import time
from pathlib import Path

import pytest

from tests.support.neighbours import in_the_room


@pytest.fixture
def door(tmp_path: Path) -> Path:
    (tmp_path / "door").touch()
    return tmp_path / "door"


@pytest.fixture
def room(tmp_path: Path) -> Path:
    (tmp_path / "room").touch()
    return tmp_path / "room"


def is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_others_run_at_the_same_time(door: Path, room: Path) -> None:
    with in_the_room(door, room, alone=False), in_the_room(door, room, alone=False):
        assert not is_locked(door)


def test_one_that_is_alone_waits_and_nobody_overtakes_it(door: Path, room: Path) -> None:
    order: list[str] = []

    def enter(name: str, *, alone: bool) -> None:
        with in_the_room(door, room, alone=alone):
            order.append(f"{name} begins")
            time.sleep(0.05)
            order.append(f"{name} ends")

    threads = [
        threading.Thread(target=enter, args=[name], kwargs={"alone": name == "alone"}) for name in ("alone", "later")
    ]
    with in_the_room(door, room, alone=False):
        threads[0].start()
        patience = time.monotonic() + 5
        while not is_locked(door):
            assert time.monotonic() < patience, "it did not wait"
            time.sleep(0.001)
        threads[1].start()
        time.sleep(0.05)
        assert order == []
    for thread in threads:
        thread.join()
    assert order == ["alone begins", "alone ends", "later begins", "later ends"]

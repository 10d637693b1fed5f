"""What an earlier image has recorded is listed, shown and verified as that image would have done."""

import os
from pathlib import Path

import pytest

from job.records.lease import LEASE
from tests.cli.conftest import At, Command
from tests.records.recorded import CARDS, DAY, LEFT, objects_of
from tests.support.records import write

LISTED = {
    "done": "07:55",
    "set-aside": "Not all made",
    "killed": "Killed",
    "refused": "Config faulty",
    "batches": "23:28",
    "batches-killed": "Killed",
}


@pytest.fixture(params=LEFT)
def story(request: pytest.FixtureRequest, runs: Path, at: At) -> str:
    """One of them is recorded; it is the next morning."""
    write(runs, objects_of(request.param))
    for lease in runs.glob(LEASE):
        os.utime(lease, (0, 0))
    at("2026-12-01T07:55")
    return str(request.param)


def test_it_is_listed_and_verified(story: str, command: Command) -> None:
    code, out, err = command("nights")
    assert (code, err) == (0, [])
    assert out[1].startswith(f"{DAY} {LISTED[story]}")
    assert LISTED[story] in {"Killed", LISTED["refused"]} or f"{len(CARDS) - len(LEFT[story])}/{len(CARDS)}" in out[1]
    code, out, err = command("verify", LOG_FORMAT="text")
    assert (code, err) == (1 if LEFT[story] else 0, [])
    assert out[0].startswith(f"{DAY} is not done: " if LEFT[story] else f"{DAY} is done")


def test_it_is_shown(story: str, command: Command) -> None:
    code, out, err = command("report")
    assert (code, err) == (0, [])
    assert out[0].startswith(DAY)
    code, out, err = command("report", "--missing")
    if story == "refused":
        assert (code, out, len(err)) == (2, [], 1)
    else:
        assert (code, out) == (0, [card.replace("/", "\t") for card in LEFT[story]])

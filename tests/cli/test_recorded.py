"""What an image of an earlier commit has recorded is listed, shown and verified as that image would have done."""

from __future__ import annotations

import os
import webbrowser
from datetime import datetime
from pathlib import Path

import pytest

from job.records.lease import LEASE
from tests.cli.conftest import Command
from tests.records.recorded import ALL, CARDS, DAY, LEFT, objects_of
from tests.support.parsed import Parsed
from tests.support.records import write

DONE_AT = {
    "unfinished": "Not all made",
    "again-failed": "Not all made",
    "killed": "Killed",
    "refused": "Config faulty",
}


@pytest.fixture(params=ALL)
def story(request: pytest.FixtureRequest, runs: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One of them is recorded; it is the next morning."""
    write(runs, objects_of(request.param))
    for lease in runs.glob(LEASE):
        os.utime(lease, (0, 0))
    now = datetime.fromisoformat("2026-11-29T23:55:00+00:00")
    monkeypatch.setattr("job.cli.main.datetime", type("Frozen", (), {"now": staticmethod(now.astimezone)}))
    return str(request.param).partition("/")[2]


def test_it_is_listed(story: str, command: Command) -> None:
    code, out, err = command("nights")
    assert (code, err) == (0, [])
    assert out[1].startswith(f"{DAY} {DONE_AT.get(story, '15:06')}")
    assert LEFT[story] or out[1].endswith("5/5")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_it_is_shown(story: str, language: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: not opened.append(address))  # type: ignore[func-returns-value]
    code, out, err = command("report", "--open", REPORT_LANGUAGE=language)
    assert (code, err) == (0, [])
    assert out[0].startswith(DAY)
    page = Parsed(Path(opened[0].removeprefix("file://")).read_text(encoding="utf-8"))
    assert DAY in page.text
    for card in LEFT[story] if story != "refused" else ():
        assert card.partition("/")[0] in page.text


def test_what_is_missing_is_listed(story: str, command: Command) -> None:
    code, out, err = command("report", "--missing")
    if story == "refused":
        said = f"The start of {DAY} was refused, so it is not known which cards are missing"
        assert (code, out, err) == (2, [], [f"RUNS_URI: {said}"])
    else:
        assert (code, out) == (0, [card.replace("/", "\t") for card in LEFT[story]])


def test_it_is_verified(story: str, command: Command) -> None:
    code, out, err = command("verify", LOG_FORMAT="text")
    assert (code, err) == (1 if LEFT[story] else 0, [])
    assert out[0].startswith(f"{DAY} is not done: " if LEFT[story] else f"{DAY} is done")
    if LEFT[story] and story != "refused":
        assert f"{len(CARDS)} cards" in out[0]

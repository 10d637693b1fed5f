"""A day of another version's format is finished with the image that wrote it: no start of this one touches it.

What is in `written_by_0_6_0` was written by the code of that version.
"""

from pathlib import Path

import pytest

from job.storage.store import StoredObject
from tests.cli.conftest import At, Command, at, command, runs
from tests.support.records import write
from tests.support.scene import DAY, NEXT_DAY, Scene

__all__ = ["at", "command", "runs"]

HERE = Path(__file__).parents[1] / "records" / "written_by_0_6_0"
WRITTEN = {path.relative_to(HERE).as_posix(): path.read_bytes() for path in HERE.rglob("*") if path.is_file()}
STORIES = {
    "half done": WRITTEN,
    "done": {name: data.replace(b'"cards_missing"', b'"succeeded"') for name, data in WRITTEN.items()},
    "killed": {name: data for name, data in WRITTEN.items() if "ends" not in name},
}
SAYS = (
    "RUNS_URI: version 0.6.0 of the job has written 2026-11-24/attempts/000001.json, in format 1; this one knows 2; "
    "finish this day with the image of version 0.6.0: an owner puts it back"
)


@pytest.mark.parametrize("story", STORIES)
async def test_a_day_of_0_6_0_is_refused_and_no_fault_of_the_next_night(scene: Scene, story: str) -> None:
    written = STORIES[story]
    scene.world.runs.objects |= {name: StoredObject(data, "1", 0.0) for name, data in written.items()}
    outcome = await scene.start(2)
    assert [fault["message"] for fault in outcome.events("config.faulty")] == [SAYS]
    assert not scene.requests
    assert {name: scene.world.recorded()[name] for name in scene.names(DAY)} == written
    await scene.until(NEXT_DAY, "22:30:00")
    night = await scene.start(0)
    assert DAY not in str(night.finished["notes"]), "it compares with nothing"
    page = scene.world.recorded()["index.html"].decode()
    assert "Made by another version" in page
    assert f"{DAY}/report.html" in page
    for name in written:
        scene.world.runs.objects.pop(name)


def test_it_is_listed_without_a_fault(runs: Path, command: Command, at: At) -> None:
    write(runs, WRITTEN)
    at("2026-11-25T09:00")
    code, out, err = command("nights")
    assert (code, err) == (0, [])
    assert out[1].startswith(f"{DAY} Made by another version")
    code, _, err = command("report", DAY)
    assert (code, err) == (2, [SAYS])

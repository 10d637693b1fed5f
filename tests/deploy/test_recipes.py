"""Recipes of terraform/README.md, played in both languages; `gcloud` is a double with a bucket."""

import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from job.config.environment import read_settings
from tests.simulators.job import ROOT

GCLOUD = f'''#!{sys.executable}
"""What gcloud 528 does with a bucket: `live/NAME` is an object, `deleted/NAME#GENERATION` one that was."""
import fnmatch, itertools, shutil, sys
from pathlib import Path

live, deleted = Path("live"), Path("deleted")

def names(folder, pattern):
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return [name for name in found if fnmatch.fnmatch(name, pattern)]

def moved(source, target):
    if not source.exists():
        sys.exit(f"ERROR: {{source}}: there is no such object")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)

def delete(name):
    generation = 1 + len(names(deleted, "*"))
    moved(live / name, deleted / f"{{name}}#{{generation:04}}")
    (live / name).unlink()

bucket = "gs://my-project-batch-orchestrator-runs/"
_, storage, command, *words = sys.argv
options = {{word for word in words if word.startswith("--")}}
places = [word.removeprefix(bucket) for word in words if word not in options]
if (storage, command, options) == ("storage", "ls", {{"--soft-deleted"}}):
    print(*(bucket + name for name in names(deleted, places[0])), sep="\\n")
elif (storage, command, options) == ("storage", "mv", set()):
    source, target = places
    found = names(live, source)
    for name in found:
        moved(live / name, live / target / name.removeprefix(source.removesuffix("*")))
        delete(name)
    sys.exit(0 if found else "ERROR: The following URLs matched no objects or files")
elif (storage, command, options) == ("storage", "restore", {{"--read-paths-from-stdin"}}):
    lines = [line.strip().removeprefix(bucket) for line in sys.stdin]
    for name, versions in itertools.groupby(lines, key=lambda line: line.partition("#")[0]):
        moved(deleted / list(versions)[-1], live / name)
elif (storage, command, options) == ("storage", "rm", set()):
    delete(places[0])
else:
    sys.exit(f"ERROR: {{sys.argv[1:]}}")
'''


def written(place: Path) -> dict[str, str]:
    return {str(path.relative_to(place)): path.read_text() for path in place.rglob("*") if path.is_file()}


def write(place: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)


@pytest.mark.parametrize("has_started", [False, True])
@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_a_deleted_record_is_brought_back_and_mixed_with_no_other(page: str, has_started: bool, tmp_path: Path) -> None:
    text = (ROOT / "terraform" / page).read_text(encoding="utf-8")
    (recipe,) = re.findall(r"```sh\n(export DAY=.*?)```", text, re.DOTALL)
    (day,) = re.findall(r"DAY=(\S+)", recipe)
    (tmp_path / "gcloud").write_text(GCLOUD)
    (tmp_path / "gcloud").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PROJECT": "my-project"}

    def run(script: str) -> str:
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=environment, text=True, capture_output=True, check=False
        )
        return done.stderr

    live = tmp_path / "live" / "runs"
    other = {"2026-11-23/report.json": "of another day", "_lease.json": "released"}
    whole = {f"{day}/attempts/000001.json": "begun", f"{day}/results/000001-000000.jsonl": "made"}
    write(live, other | whole | {f"{day}/report.json": "at work"})
    delete = "\n".join(f"gcloud storage rm gs://my-project-batch-orchestrator-runs/runs/{name}" for name in whole)
    report = f"gcloud storage rm gs://my-project-batch-orchestrator-runs/runs/{day}/report.json"
    assert run(report) == "", "overwritten, which is a deletion too"
    write(live, {f"{day}/report.json": "done"})
    before = written(live)
    assert run(f"{delete}\n{report}") == ""
    assert written(live) == other
    later = {f"{day}/attempts/000001.json": "begun again", f"{day}/ends/000001.json": "refused"}
    write(live, later if has_started else {})

    said = run(recipe)
    assert said.count("ERROR") == (not has_started), said
    assert written(live) == before
    assert written(tmp_path / "live" / "aside") == (later if has_started else {})


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_what_a_changed_schedule_does_is_what_the_table_says(page: str) -> None:
    text = (ROOT / "terraform" / page).read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+):(\d+), (\d+):(\d+) \| (.*?) \| `[^`]*--date=([\d-]+)", text, re.MULTILINE)
    assert len(rows) == 2
    for *times, _, day in rows:
        hour, minute, new_hour, new_minute = map(int, times)
        before, after = (
            read_settings({"RUN_SCHEDULE": f"{minute} {hour} * * *", "RUN_TIME_ZONE": "Asia/Shanghai"})[0].days()
            for hour, minute in ((hour, minute), (new_hour, new_minute))
        )
        noon = datetime.fromisoformat(f"{day}T12:00+08:00")
        evening, morning = (noon.replace(day=noon.day + later, hour=at) for later, at in ((0, 23), (1, 7)))
        if hour > new_hour:
            assert (before.current(noon), after.current(evening), after.current(morning)) == (
                "2026-11-23",
                day,
                "2026-11-25",
            ), "the day is that of this morning, at which nothing was started"
        else:
            assert (before.current(noon), after.current(noon), after.current(evening)) == (day, "2026-11-23", day)

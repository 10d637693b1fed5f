"""`python -m tests.records.recorded COMMIT` records a day of each new story with the job of this commit, once."""

import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import trio

from tests.records.recorded import CONFIG, CONFIG_URI, HERE, NOT_KEPT, STORIES
from tests.simulators.engines import steady
from tests.simulators.job import ROOT
from tests.simulators.world import open_world


async def _record(checkout: Path, story: str, place: Path) -> None:
    async with trio.open_nursery() as nursery, open_world(nursery, CONFIG, latency=steady(0.05)) as world:
        world.checkout, world.patience = checkout, None
        await STORIES[story](world)
        runs = world.directory / "runs"
        for path in sorted(runs.rglob("*")):
            if path.is_file() and not path.name.endswith(NOT_KEPT):
                data = path.read_bytes().replace(world.config_uri.encode(), CONFIG_URI.encode())
                assert str(world.directory).encode() not in data, f"{path} names this machine"
                copy = place / path.relative_to(runs)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(data)


def _git(*arguments: str) -> str:
    done = subprocess.run(("git", *arguments), cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


new = [name for name in STORIES if not (HERE / name).exists()]  # what is recorded stays
commit = _git("rev-parse", sys.argv[1])
with tempfile.TemporaryDirectory() as directory:
    checkout, recorded = Path(directory) / "checkout", Path(directory) / "recorded"
    _git("worktree", "add", "--detach", str(checkout), commit)
    try:
        (checkout / "job" / "COMMIT").write_text(commit, encoding="ascii")  # as the image has it
        for name in new:
            trio.run(partial(_record, checkout, name, recorded / name))
    finally:
        _git("worktree", "remove", "--force", str(checkout))
    for name in new:
        shutil.copytree(recorded / name, HERE / name)

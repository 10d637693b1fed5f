"""What is recorded in a world, wherever its records are."""

import json
from collections.abc import Mapping
from typing import Any

from tests.simulators.world import RUNS_BUCKET, World
from tests.support.world import VirtualWorld


async def objects(world: World) -> dict[str, bytes]:
    """Every object under RUNS_URI."""
    if isinstance(world, VirtualWorld):
        return world.recorded()
    if world.emulator:
        names = await world.emulator.names(RUNS_BUCKET, "runs/")
        return {name.removeprefix("runs/"): await world.emulator.get(RUNS_BUCKET, name) for name in names}
    place = world.directory / "runs"
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file() and path.name != ".lock" and ".partial-" not in path.name
    }


def latest_end(recorded: Mapping[str, bytes], day: str) -> dict[str, Any]:
    """How the latest attempt at a day ended; fails if none has."""
    name = max(name for name in recorded if name.startswith(f"{day}/ends/"))
    end: dict[str, Any] = json.loads(recorded[name])
    return end


def results(recorded: Mapping[str, bytes], day: str) -> list[dict[str, Any]]:
    """Every result that is recorded of a day, by any attempt at it."""
    written = [recorded[name] for name in sorted(recorded) if name.startswith(f"{day}/results/")]
    return [json.loads(line) for content in written for line in content.splitlines()[1:]]

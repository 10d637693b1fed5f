"""An altered record is shown on the terminal as text, never as commands."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import trio

from job.report.format import sealed
from tests.simulators import do, when
from tests.simulators.service import Fault
from tests.simulators.world import open_world
from tests.support.runs import QUICK, SMALL

COMMANDS = "\x1b]0;owned\x07\x1b[2J\x9b2J\u202e\u2066"
"""Titles the window, clears the screen, and turns the direction of what follows."""


def alter(runs: Path) -> None:
    """Puts the commands into a sentence and a reason of run `night`, and makes a run `other` with such an id."""
    report = runs / "night" / "report.json"
    text = report.read_text("utf-8")
    assert '"Cards are missing' in text
    report.write_text(text.replace('"Cards are missing', f'"{json.dumps(COMMANDS)[1:-1]}Cards are missing'), "utf-8")
    for journal in (runs / "night" / "results").iterdir():
        head, _, body = journal.read_bytes().partition(b"\n")
        altered = body.replace(b"HTTP ", json.dumps(COMMANDS)[1:-1].encode() + b"HTTP ").removesuffix(b"\n")
        header = json.loads(head) | {"sha256": hashlib.sha256(altered).hexdigest()}
        journal.write_bytes(json.dumps(header).encode() + b"\n" + altered + b"\n")
    inputs = json.loads((runs / "night" / "inputs.json").read_bytes())["body"]
    (runs / "other").mkdir()
    (runs / "other" / "inputs.json").write_bytes(sealed(inputs | {"run_id": COMMANDS}))
    (runs / "_started" / "20260101T000000Z_other").write_bytes(b"{}\n")


@pytest.mark.slow
@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
async def test_nothing_in_a_record_is_a_command_to_the_terminal(nursery: trio.Nursery, terminal: bool) -> None:
    async with open_world(nursery, SMALL, latency=QUICK) as world:
        world.qa.script.append(Fault(when.ticker("MSFT"), do.status(422)))
        env = {"RUNS_URI": world.runs_uri}
        assert (await world.run_job(env={**env, "RUN_ID": "night"})).exit_code == 3
        alter(Path(world.runs_uri))
        refused = "other/inputs.json is not what a run writes"
        for arguments, code, parts, commands in (
            (("runs",), 2, ("cards missing", refused), 0),
            (("report", "night"), 0, ("Cards are missing", "HTTP 422"), 2),
            (("report", "other"), 2, (refused,), 0),
        ):
            outcome = await world.run_job(arguments, env=env, terminal=terminal)
            assert outcome.exit_code == code
            shown = outcome.stdout + outcome.stderr
            assert all(part in shown for part in parts)
            assert shown.count("]0;owned\N{REPLACEMENT CHARACTER}") == commands
            for command in ("\x1b]", "\x07", "\x1b[2J", "\x9b", "\u202e", "\u2066"):
                assert command not in shown

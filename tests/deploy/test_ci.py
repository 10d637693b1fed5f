"""`.ci/run` begins as a stranger does: with the README's first commands, on a machine that has nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.simulators.job import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SAID = {
    "git": 'cp -R . "$4"',  # git clone --quiet . PLACE
    "go": "echo /go",
    "apt-get": "",
    "chromium": "",
    "fc-list": "echo a font",
    "python3": f'exec {sys.executable} "$@"',
    "python": 'echo "pytest $* REQUIRE=$REQUIRE" >>CALLS',
}
MAKEFILE = """
run-local test emulator .terraform-tests/ready lint:
	@echo "$@ REQUIRE=$$REQUIRE PIP=$$PIP_FIND_LINKS SECRET=$$SECRET go=$$(command -v go)" >>CALLS
	@test $@ != FAILS
"""
BARE = "REQUIRE= PIP=/wheels SECRET= go="


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose README is this one's; make and the tests only note that they were called."""
    made, tools = tmp_path / "checkout", tmp_path / "tools"
    (made / ".ci").mkdir(parents=True)
    (made / ".venv" / "bin").mkdir(parents=True)
    tools.mkdir()
    shutil.copy(ROOT / ".ci" / "run", made / ".ci")
    shutil.copy(ROOT / "README.md", made)
    for name, script in SAID.items():
        file = (made / ".venv" / "bin" if name == "python" else tools) / name
        file.write_text(f"#!/bin/sh\n{script}\n".replace("CALLS", str(tmp_path / "calls")))
        file.chmod(0o700)
    return made


def run(checkout: Path, fails: str = "") -> tuple[int, list[str]]:
    """Its exit code, and what it called."""
    calls = checkout.with_name("calls")
    (checkout / "Makefile").write_text(MAKEFILE.replace("CALLS", str(calls)).replace("FAILS", fails or "none"))
    variables = {
        "HOME": str(checkout),
        "PATH": f"{checkout.with_name('tools')}:{os.environ['PATH']}",
        "PIP_FIND_LINKS": "/wheels",
        "SECRET": "of the machine",
    }
    done = subprocess.run([checkout / ".ci" / "run"], env=variables, capture_output=True, check=False)
    return done.returncode, calls.read_text().splitlines()


def test_it_begins_with_the_readme_and_then_runs_what_was_left_out(checkout: Path) -> None:
    code, calls = run(checkout)
    tools = checkout.with_name("tools")
    more = f"PIP=/wheels SECRET=of the machine go={tools}/go"
    assert calls == [
        f"run-local {BARE}",
        f"test {BARE}",
        f"emulator REQUIRE= {more}",
        f".terraform-tests/ready REQUIRE= {more}",
        f"lint REQUIRE=emulator,terraform,browser {more}",
        "pytest -m pytest -q -n auto --dist worksteal -m slow or needs REQUIRE=emulator,terraform,browser",
    ]
    assert code == 0


@pytest.mark.parametrize(("fails", "count"), [("run-local", 1), ("test", 2), ("lint", 5)])
def test_the_first_failure_ends_it(checkout: Path, fails: str, count: int) -> None:
    code, calls = run(checkout, fails)
    assert code != 0
    assert len(calls) == count

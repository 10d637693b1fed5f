"""What a machine lacks is the only reason to skip a test; where it is required, the test has failed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulators.job import ROOT
from tests.support.needs import required

TESTS = """
import pytest

@pytest.mark.needs("emulator")
def test_of_the_emulator(): pass

@pytest.mark.needs("image")
def test_of_the_image(): pass

@pytest.mark.needs("image")
def test_of_another_one(): pass

def test_without_a_need():
    pytest.skip("not today")
"""


def test_only_what_is_needed_and_not_required_may_be_lacking(tmp_path: Path) -> None:
    (tmp_path / "test_needs.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = needs")
    command = [sys.executable, "-m", "pytest", f"--rootdir={tmp_path}", "-p", "tests.conftest", str(tmp_path)]
    names = os.environ.keys() - {"STORAGE_EMULATOR", "IMAGE_BUILD", "IMAGE_RUN"}
    lacking = {name: os.environ[name] for name in names}
    lacking |= {"PATH": str(tmp_path), "REQUIRE": "emulator", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=ROOT, env=lacking, capture_output=True, text=True, check=False)
    assert set(re.findall(r"^(?:FAILED|ERROR) .*::test_(\w+)", done.stdout, re.MULTILINE)) == {
        "of_the_emulator",
        "without_a_need",
    }, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "Skipped: 2 without image (start Docker, or set IMAGE_BUILD and IMAGE_RUN)" in lines
    assert "2 skipped" in lines[-1]
    assert done.returncode == 1


def test_what_is_required_has_to_be_known() -> None:
    assert required("emulator,browser") == {"browser", "emulator"}
    with pytest.raises(ValueError, match=r"^REQUIRE names emulators, but there are only emulator, .*, terraform$"):
        required("emulators,image")

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

@pytest.mark.needs("emulator")
def test_of_another_one(): pass

@pytest.mark.needs("image")
def test_of_the_image(): pass

def test_without_a_need():
    pytest.skip("not today")
"""


@pytest.mark.parametrize(
    ("require", "failed", "skipped"),
    [
        ("", {"without_a_need"}, "2 without emulator (make emulator, or name fake-gcs-server in STORAGE_EMULATOR); "),
        ("emulator", {"of_the_emulator", "of_another_one", "without_a_need"}, ""),
    ],
)
def test_only_what_is_needed_and_not_required_may_be_lacking(
    tmp_path: Path, require: str, failed: set[str], skipped: str
) -> None:
    (tmp_path / "test_needs.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    names = os.environ.keys() - {"STORAGE_EMULATOR", "IMAGE_BUILD", "IMAGE_RUN"}
    lacking = {name: os.environ[name] for name in names} | {"PATH": str(tmp_path), "REQUIRE": require}
    done = subprocess.run([*command, tmp_path], cwd=ROOT, env=lacking, capture_output=True, text=True, check=False)
    assert set(re.findall(r"^(?:FAILED|ERROR) .*::test_(\w+)", done.stdout, re.MULTILINE)) == failed, (
        done.stdout + done.stderr
    )
    skips = [line for line in done.stdout.splitlines() if "skip" in line.lower() and "test_needs.py" not in line]
    assert skips[-2] == f"Skipped: {skipped}1 without image (start Docker, or set IMAGE_BUILD and IMAGE_RUN)"
    assert f"{4 - len(failed)} skipped" in skips[-1]
    assert done.returncode == 1


def test_what_is_required_has_to_be_known() -> None:
    assert required("emulator,browser") == {"browser", "emulator"}
    with pytest.raises(ValueError, match=r"^REQUIRE names emulators, but there are only emulator, .*, terraform$"):
        required("emulators,image")

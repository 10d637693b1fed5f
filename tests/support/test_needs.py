"""What a machine lacks is why a test is skipped; where it is required, the test has failed."""

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

def test_without_a_need():
    pytest.skip("not today")
"""


@pytest.mark.parametrize(("require", "failed"), [("", set()), ("emulator", {"of_the_emulator", "without_a_need"})])
def test_only_what_is_not_required_may_be_lacking(tmp_path: Path, require: str, failed: set[str]) -> None:
    (tmp_path / "test_needs.py").write_text(TESTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        "pyproject.toml",
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
        str(tmp_path),
    ]
    names = os.environ.keys() - {"STORAGE_EMULATOR", "IMAGE_BUILD", "IMAGE_RUN"}
    lacking = {name: os.environ[name] for name in names} | {"PATH": os.defpath, "REQUIRE": require}
    done = subprocess.run(command, cwd=ROOT, env=lacking, capture_output=True, text=True, check=False)
    assert set(re.findall(r"^(?:FAILED|ERROR) .*::test_(\w+)", done.stdout, re.MULTILINE)) == failed, (
        done.stdout + done.stderr
    )
    assert f"{3 - len(failed)} skipped" in done.stdout
    assert "needs image: start Docker, or set IMAGE_BUILD and IMAGE_RUN" in done.stdout
    assert done.returncode == bool(failed)


def test_what_is_required_has_to_be_known() -> None:
    assert required("emulator,browser") == {"browser", "emulator"}
    with pytest.raises(ValueError, match=r"^REQUIRE names emulators, but there are only emulator, browser, image$"):
        required("emulators,image")

"""What some tests need and a machine may lack: `pytest.mark.needs`."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.simulators.storage import emulator_binary
from tests.support.browser import CHROMIUM


class Need(NamedTuple):
    """Something that is there or not."""

    is_there: Callable[[], bool]
    remedy: str


@cache
def has_docker() -> bool:
    """Whether there is a Docker that works."""
    return (
        bool(shutil.which("docker"))
        and not subprocess.run(["docker", "info"], check=False, capture_output=True).returncode
    )


TERRAFORM_TESTS = Path(__file__).parents[2] / ".terraform-tests"
"""An environment of its own: Terraform as a library and gRPC are larger than everything else together."""

NEEDS: Mapping[str, Need] = {
    "emulator": Need(
        lambda: emulator_binary() is not None, "make emulator, or name fake-gcs-server in STORAGE_EMULATOR"
    ),
    "browser": Need(lambda: CHROMIUM is not None, "install chromium"),
    "image": Need(
        lambda: has_docker() or {"IMAGE_BUILD", "IMAGE_RUN"} <= os.environ.keys(),
        "start Docker, or set IMAGE_BUILD and IMAGE_RUN",
    ),
    "linux": Need(lambda: sys.platform == "linux", "run them on Linux, whose account of a process they read"),
    "terraform": Need((TERRAFORM_TESTS / "ready").exists, "make .terraform-tests/ready"),
}


def required(names: str) -> frozenset[str]:
    """What REQUIRE names, separated by commas. Raises `ValueError` if a name is not known."""
    found = frozenset(filter(None, names.split(",")))
    if unknown := found - NEEDS.keys():
        raise ValueError(f"REQUIRE names {', '.join(sorted(unknown))}, but there are only {', '.join(NEEDS)}")
    return found

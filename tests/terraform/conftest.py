"""One stand-in for the provider and one initialised copy of the root, for all tests that change neither."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.terraform.command import Terraform, installed
from tests.terraform.provider import stand_in


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terraform]:
    with stand_in() as providers:
        yield Terraform(installed(), providers, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def root(terraform: Terraform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Only to be read."""
    return terraform.copy(tmp_path_factory.mktemp("terraform") / "root")


@pytest.fixture
def own_root(root: Path, tmp_path: Path) -> Path:
    """To be changed, planned and applied."""
    return Path(shutil.copytree(root, tmp_path / "root"))

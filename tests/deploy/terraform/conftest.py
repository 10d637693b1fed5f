"""One stand-in for the provider, one initialised root and one that has been applied, for all tests."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.terraform.command import Terraform, stand_in
from tests.deploy.terraform.sample import EVERYTHING


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terraform]:
    with stand_in() as providers:
        yield Terraform(providers, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def root(terraform: Terraform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root that tests only read."""
    return terraform.copy(tmp_path_factory.mktemp("terraform") / "root")


@pytest.fixture
def own_root(root: Path, tmp_path: Path) -> Path:
    """A root that a test may change, plan and apply."""
    return Path(shutil.copytree(root, tmp_path / "root"))


@pytest.fixture(scope="session")
def everything(terraform: Terraform, root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The plan for every option, once the API of the engines is on: before, it does not know their URLs."""
    own = Path(shutil.copytree(root, tmp_path_factory.mktemp("everything") / "root"))
    terraform.plan(own, EVERYTHING)
    terraform.ask(own, "apply", "-no-color", "-auto-approve", "-target=google_project_service.run")
    return terraform.plan(own, EVERYTHING)

"""One stand-in for the provider, one initialised root and one that has been applied, for all tests."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.terraform.command import Terraform, installed
from tests.deploy.terraform.provider import stand_in
from tests.deploy.terraform.sample import EVERYTHING


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terraform]:
    with stand_in() as providers:
        yield Terraform(installed(), providers, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def root(terraform: Terraform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root that tests only read."""
    return terraform.copy(tmp_path_factory.mktemp("terraform") / "root")


@pytest.fixture
def own_root(root: Path, tmp_path: Path) -> Path:
    """A root that a test may change, plan and apply."""
    return Path(shutil.copytree(root, tmp_path / "root"))


@pytest.fixture(scope="session")
def first(terraform: Terraform, root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A root whose first plan has been applied, and that plan."""
    directory = Path(shutil.copytree(root, tmp_path_factory.mktemp("first") / "root"))
    plan = terraform.plan(directory, EVERYTHING)
    terraform.ask(directory, "apply", "-no-color", "test.tfplan")
    return directory, plan


@pytest.fixture(scope="session")
def everything(first: tuple[Path, dict[str, Any]]) -> dict[str, Any]:
    return first[1]


@pytest.fixture(scope="session")
def state(terraform: Terraform, first: tuple[Path, dict[str, Any]]) -> dict[str, Any]:
    """The state after that apply: some values are known only now."""
    shown: dict[str, Any] = json.loads(terraform.ask(first[0], "show", "-json"))
    return shown


@pytest.fixture
def standing(first: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """A root that has been applied with every option, which a test may change."""
    return Path(shutil.copytree(first[0], tmp_path / "root"))

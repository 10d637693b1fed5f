"""Two environments of one root, each in a workspace: nothing of the one touches the other."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.deploy.terraform.command import ROOT
from tests.deploy.terraform.sample import EVERYTHING, resources

if TYPE_CHECKING:
    from pathlib import Path

    from tests.deploy.terraform.command import Terraform


def settings(project: str, name: str) -> dict[str, Any]:
    """What test.tfvars says; what it leaves out is as in terraform.tfvars."""
    image = f"asia-east1-docker.pkg.dev/{project}/{name}/job@sha256:{'2' * 64}"
    return {"project_id": project, "name": name, "image": image, "build": None, "deletion_protection": False}


@pytest.fixture
def other(terraform: Terraform) -> Terraform:
    """The same, in the workspace of the second environment."""
    return dataclasses.replace(terraform, workspace="test")


def things(terraform: Terraform, root: Path) -> set[tuple[str, ...]]:
    """What each resource of the state is on Google Cloud: its kind, and whatever tells it from others of its kind."""
    tell = ["project", "location", "region", "bucket", "name", "account_id", "repository", "repository_id", "role_id"]
    tell += ["secret_id", "service", "service_account_id", "display_name", "role", "member"]
    shown = json.loads(terraform.ask(root, "show", "-json"))
    return {
        (address.partition(".")[0], *(f"{key}={values[key]}" for key in tell if values.get(key)))
        for address, values in resources(shown).items()
    }


def apply(other: Terraform, root: Path, values: dict[str, Any], *words: str) -> None:
    (root / "test.tfvars.json").write_text(json.dumps(values))
    other.ask(root, *(words or ("apply",)), "-no-color", "-auto-approve", "-var-file=test.tfvars.json")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("project", "shared"),
    [
        pytest.param("my-test-project", set(), id="another project"),
        pytest.param("my-project", {"google_project_service", "roles/logging.viewer"}, id="the same project"),
    ],
)
def test_nothing_of_one_environment_touches_the_other(
    terraform: Terraform, other: Terraform, standing: Path, project: str, shared: set[str]
) -> None:
    """In one project they share its APIs, which stay on, and who may read its logs."""
    before = (standing / "terraform.tfstate").read_bytes()
    apply(other, standing, settings(project, "cards-test"))
    common = things(terraform, standing) & things(other, standing)
    assert {kind if kind in shared else rest[-2].partition("=")[2] for kind, *rest in common} == shared
    assert "No changes." in other.ask(standing, "plan", "-no-color", "-var-file=test.tfvars.json")
    assert "No changes." in terraform.ask(standing, "plan", "-no-color")

    apply(other, standing, settings(project, "cards-test"), "destroy")
    assert other.ask(standing, "state", "list") == ""
    assert (standing / "terraform.tfstate").read_bytes() == before
    assert "No changes." in terraform.ask(standing, "plan", "-no-color")


def test_the_second_environment_of_the_readme_can_be_planned(other: Terraform, own_root: Path) -> None:
    page = (ROOT / "README.md").read_text()
    (written,) = re.findall(r"Write `terraform/test.tfvars`.*?```hcl\n(.*?)```", page, re.DOTALL)
    shutil.copy(ROOT / "terraform.tfvars.example", own_root / "terraform.tfvars")
    (own_root / "test.tfvars").write_text(written)
    planned = other.ask(own_root, "plan", "-no-color", "-var=bootstrap=true", "-var-file=test.tfvars")
    assert "my-test-project-cards-test-config" in planned


def test_an_environment_refuses_the_values_of_another(terraform: Terraform, other: Terraform, own_root: Path) -> None:
    terraform.variables(own_root, EVERYTHING)
    done = other.run(own_root, "plan", "-no-color")
    assert done.returncode == 1
    assert "name: does not end in -test, the Terraform workspace;" in done.stderr
    assert "build: belongs into the workspace default," in done.stderr

"""The provider's stand-in answers as the real one where that decides whether an apply succeeds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.deploy.terraform.command import Terraform

PLACE = 'project = "p"\nlocation = "r"'
MEMBERS = {
    "google_artifact_registry_repository_iam_member": (
        f'{PLACE}\nrepository = "x"',
        "projects/p/locations/r/repositories/x",
    ),
    "google_cloud_run_v2_job_iam_member": (f'{PLACE}\nname = "x"', "projects/p/locations/r/jobs/x"),
    "google_cloud_run_v2_service_iam_member": (f'{PLACE}\nname = "x"', "projects/p/locations/r/services/x"),
    "google_secret_manager_secret_iam_member": ('project = "p"\nsecret_id = "x"', "projects/p/secrets/x"),
    "google_storage_bucket_iam_member": ('bucket = "x"', "b/x"),
}
"""Every kind of IAM member that takes a short name: what it is given, and what it answers."""


def attribute(kind: str) -> str:
    return MEMBERS[kind][0].rpartition("\n")[2].partition(" ")[0]


@pytest.fixture
def members(terraform: Terraform, tmp_path: Path) -> Path:
    """A root with a member of each kind."""
    blocks = [
        f'resource "{kind}" "main" {{\n{given}\nrole = "roles/viewer"\nmember = "user:me@example.com"\n}}'
        for kind, (given, _) in MEMBERS.items()
    ]
    (tmp_path / "main.tf").write_text("\n".join(blocks))
    source = 'terraform {\n  required_providers {\n    google = { source = "hashicorp/google" }\n  }\n}\n'
    (tmp_path / "versions.tf").write_text(source)
    terraform.ask(tmp_path, "init", "-no-color")
    return tmp_path


def names(terraform: Terraform, root: Path) -> dict[str, str]:
    """What each member's name is in the state, by its kind."""
    shown: dict[str, Any] = json.loads(terraform.ask(root, "show", "-json"))
    found = shown["values"]["root_module"]["resources"]
    return {one["type"]: one["values"][attribute(one["type"])] for one in found if one["name"] == "main"}


FULL = {kind: full for kind, (_, full) in MEMBERS.items()}


def test_a_member_answers_with_the_full_name_and_its_next_plan_is_empty(terraform: Terraform, members: Path) -> None:
    terraform.ask(members, "apply", "-no-color", "-auto-approve")
    assert names(terraform, members) == FULL
    assert "No changes." in terraform.ask(members, "plan", "-no-color")


def test_a_read_gives_the_full_name(terraform: Terraform, members: Path) -> None:
    terraform.ask(members, "apply", "-no-color", "-auto-approve")
    state = members / "terraform.tfstate"
    text = state.read_text()
    for full in FULL.values():
        assert f'"{full}"' in text
        text = text.replace(f'"{full}"', '"x"')
    state.write_text(text)
    assert set(names(terraform, members).values()) == {"x"}
    terraform.ask(members, "apply", "-no-color", "-auto-approve", "-refresh-only")
    assert names(terraform, members) == FULL


def test_a_resource_that_reads_a_members_name_is_refused_at_the_apply(terraform: Terraform, members: Path) -> None:
    for kind, (given, _) in MEMBERS.items():
        read = f'role = {kind}.main.{attribute(kind)}\nmember = "user:me@example.com"'
        (members / f"{kind}.tf").write_text(f'resource "{kind}" "reader" {{\n{given}\n{read}\n}}')
    done = terraform.run(members, "apply", "-no-color", "-auto-approve")
    assert done.returncode == 1
    assert done.stderr.count("Error: Provider produced inconsistent final plan") == len(MEMBERS)
    assert names(terraform, members) == FULL

"""Every apply does what it should, leaves nothing for a second one, and can be destroyed: the stand-in applies."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.terraform.command import ROOT, Terraform, changes
from tests.deploy.terraform.sample import EVERYTHING, LITTLE, resources

pytestmark = [pytest.mark.slow, pytest.mark.needs("terraform"), pytest.mark.timeout(300)]

DIGEST = f"@sha256:{'0' * 64}"


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in EVERYTHING.items() if name not in names}


def actions(changed: dict[str, list[str]]) -> set[str]:
    return {action for of_one in changed.values() for action in of_one}


def test_whatever_is_switched_off_and_on_again(terraform: Terraform, own_root: Path) -> None:
    """`apply` holds that each second plan is empty."""
    assert actions(terraform.apply(own_root, LITTLE)) == {"create"}
    assert "delete" not in actions(terraform.apply(own_root, EVERYTHING))
    for name, kind in (
        ("alerts", "google_monitoring_alert_policy.execution"),
        ("build", "google_cloudbuild_trigger.main"),
        ("notify", "google_secret_manager_secret_iam_member.job"),
        ("people", "google_cloud_run_v2_job_iam_member.starters"),
    ):
        for variables, action in ((without(name), "delete"), (EVERYTHING, "create")):
            changed = terraform.apply(own_root, variables)
            assert actions(changed) - {"update"} == {action}, name
            assert any(address.startswith(f"{kind}[") for address in changed), name
    terraform.ask(own_root, "destroy", "-no-color", "-auto-approve")
    assert terraform.ask(own_root, "state", "list") == ""


def deploy(state: Path) -> None:
    """Writes into both jobs what `gcloud run jobs update --image` does."""
    text = json.loads(state.read_text())
    (jobs,) = (one["instances"] for one in text["resources"] if one["type"] == "google_cloud_run_v2_job")
    assert len(jobs) == 2
    for job in (one["attributes"] for one in jobs):
        execution = job["template"][0]
        (container,) = execution["template"][0]["containers"]
        container["image"] = f"asia-east1-docker.pkg.dev/my-project/cards/job{DIGEST}"
        execution["labels"] = (execution["labels"] or {}) | {"client.knative.dev/nonce": "gut_fac_tiz"}
        execution["annotations"] = {"client.knative.dev/user-image": "job"}
        job |= {"client": "gcloud", "client_version": "528.0.0"}
    state.write_text(json.dumps(text))


def edit_config(state: Path) -> None:
    """Writes into the objects of the config what Terraform finds after each was edited in the bucket."""
    text = json.loads(state.read_text())
    (objects,) = (one["instances"] for one in text["resources"] if one["type"] == "google_storage_bucket_object")
    for one in (one["attributes"] for one in objects):
        one |= {"crc32c": "edited", "generation": one["generation"] + 1, "md5hash": "edited"}
    state.write_text(json.dumps(text))


@pytest.mark.parametrize("labels", [{}, {"team": "cards"}])
def test_a_deployed_image_and_an_edited_config_survive_a_later_apply(
    terraform: Terraform, own_root: Path, labels: dict[str, str]
) -> None:
    """The config is edited in the bucket, and in the folder."""
    variables = EVERYTHING | {"labels": labels}
    terraform.apply(own_root, variables)
    state = own_root / "terraform.tfstate"
    deploy(state)
    edit_config(state)
    for config in (own_root / "config").iterdir():
        config.write_text(config.read_text() + "\n")
    assert changes(terraform.plan(own_root, variables)) == {}

    changed = terraform.apply(own_root, variables | {"job": {"cpu": 4, "memory_mib": 2048}})
    assert changed == {f'google_cloud_run_v2_job.main["{key}"]': ["update"] for key in ("run", "verify")}
    assert len(re.findall(rf'"image": ".*/job{DIGEST}"', state.read_text())) == 2


@pytest.mark.parametrize("reached", ["google_artifact_registry_repository.main", "google_cloud_run_v2_job.main"])
def test_a_destroy_removes_what_an_apply_has_reached(terraform: Terraform, own_root: Path, reached: str) -> None:
    terraform.plan(own_root, EVERYTHING)
    terraform.ask(own_root, "apply", "-no-color", "-auto-approve", f"-target={reached}")
    assert reached in terraform.ask(own_root, "state", "list")
    terraform.ask(own_root, "destroy", "-no-color", "-auto-approve")
    assert terraform.ask(own_root, "state", "list") == ""


def test_buckets_that_a_destroy_left_are_taken_up_again(terraform: Terraform, own_root: Path) -> None:
    """By what the README says, into an empty state, with all options."""
    terraform.plan(own_root, EVERYTHING)  # which writes the variables
    lines = re.findall(r"^terraform -chdir=terraform (import .*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        terraform.ask(own_root, *shlex.split(line.replace("$PROJECT", "my-project")))
    changed = terraform.apply(own_root, EVERYTHING)
    assert {address for address, of_one in changed.items() if of_one != ["create"]} == {
        "google_storage_bucket.config",
        "google_storage_bucket.runs",
    }
    assert "delete" not in actions(changed)


def test_another_name_writes_the_config_into_its_bucket(terraform: Terraform, own_root: Path) -> None:
    terraform.apply(own_root, LITTLE)
    plan = terraform.plan(own_root, LITTLE | {"name": "cards-test"})
    written = resources(plan, "google_storage_bucket_object")
    assert {one["bucket"] for one in written.values()} == {"my-project-cards-test-config"}
    assert {tuple(changes(plan)[address]) for address in written} == {("delete", "create")}

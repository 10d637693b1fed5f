"""Every apply after the first changes only what it should: updates, merges, a new owner of the config, a destroy."""

import re
from pathlib import Path
from typing import Any

import pytest

from terraform.tools.guard import refusals
from tests.deploy.terraform.command import Terraform
from tests.deploy.terraform.sample import EVERYTHING, LITTLE, NEXT_IMAGE, OPERATORS

COLLEAGUE = "user:me@example.com"


def applied(terraform: Terraform, root: Path, variables: dict[str, Any]) -> dict[str, list[str]]:
    """Plans and applies; returns the actions of what changed, by address."""
    plan = terraform.plan(root, variables)
    terraform.ask(root, "apply", "-no-color", "test.tfplan")
    return changes(plan)


def changes(plan: dict[str, Any]) -> dict[str, list[str]]:
    return {
        one["address"]: one["change"]["actions"]
        for one in plan["resource_changes"]
        if one["change"]["actions"] not in (["no-op"], ["read"])
    }


def edit(config: Path) -> None:
    """Changes every object into another valid one, whatever a user has made of the sample."""
    for path in config.iterdir():
        path.write_text(path.read_text() + "\n")


@pytest.mark.slow
def test_a_second_plan_is_empty_and_a_new_image_changes_two_jobs(
    terraform: Terraform, everything: dict[str, Any], standing: Path
) -> None:
    assert set(map(tuple, changes(everything).values())) == {("create",)}
    assert changes(terraform.plan(standing, EVERYTHING)) == {}

    plan = terraform.plan(standing, EVERYTHING | {"image": NEXT_IMAGE})
    assert changes(plan) == {f'google_cloud_run_v2_job.main["{name}"]': ["update"] for name in ("run", "verify")}
    assert refusals(plan) == [], "a merge may ship it"
    assert plan["planned_values"]["outputs"]["image_name"]["value"] == NEXT_IMAGE.partition("@")[0]


@pytest.mark.slow
def test_people_come_and_go(terraform: Terraform, own_root: Path) -> None:
    """Each apply is done at once, and the plan after it is empty."""
    for operators, who, action in (
        ([OPERATORS], "", "create"),
        ([OPERATORS, COLLEAGUE], COLLEAGUE, "create"),
        ([COLLEAGUE], OPERATORS, "delete"),
    ):
        variables = LITTLE | {"operators": operators}
        changed = applied(terraform, own_root, variables)
        assert set(map(tuple, changed.values())) == {(action,)}
        assert all(who in address for address in changed)
        assert changes(terraform.plan(own_root, variables)) == {}


@pytest.mark.slow
def test_a_merge_ships_schedule_and_config_but_no_grant(terraform: Terraform, standing: Path) -> None:
    edit(standing / "config")
    schedule = {"cron": "0 7 * * *", "time_zone": "Asia/Tokyo", "paused": True}
    plan = terraform.plan(standing, EVERYTHING | {"schedule": schedule})
    assert 'google_storage_bucket_object.owned["ticker_list.json"]' in changes(plan)
    assert 'google_cloud_scheduler_job.main["run"]' in changes(plan)
    assert refusals(plan) == []

    plan = terraform.plan(standing, EVERYTHING | {"operators": [OPERATORS, COLLEAGUE]})
    assert {line.partition(":")[0] for line in refusals(plan)} == {
        f'{resource}["user'
        for resource in (
            "google_cloud_run_v2_job_iam_member.operators",
            "google_cloud_run_v2_job_iam_member.viewers",
            "google_project_iam_member.viewers",
            "google_storage_bucket_iam_member.config_viewers",
            "google_storage_bucket_iam_member.runs_viewers",
        )
    }


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.slow
def test_a_merge_ships_no_image_of_another_registry(terraform: Terraform, standing: Path) -> None:
    """Even a merge that also changes the variable's validation and the outputs does not."""
    elsewhere = NEXT_IMAGE.replace("/my-project/", "/other-project/")
    replace(standing / "variables.tf", 'startswith(coalesce(var.image, "-"), "${local.repository}/")', "true")
    replace(standing / "outputs.tf", "= local.image_name", '= split("@", var.image)[0]')
    plan = terraform.plan(standing, EVERYTHING | {"image": elsewhere})
    image_name = plan["prior_state"]["values"]["outputs"]["image_name"]["value"]
    assert image_name == elsewhere.partition("@")[0], "else the outputs of the state could be trusted after all"
    assert refusals(plan) == [
        f'google_cloud_run_v2_job.main["{name}"]: template.template.containers.image would be {elsewhere!r}. '
        f"Deploy an image of this root by its digest: {NEXT_IMAGE.partition('@')[0]}@sha256:…"
        for name in ("run", "verify")
    ]


@pytest.mark.slow
def test_a_merge_ships_no_value_that_is_unknown_until_the_apply(terraform: Terraform, standing: Path) -> None:
    jobs, schedules, config = (standing / f"{name}.tf" for name in ("job", "schedule", "config"))
    replace(jobs, "= var.deletion_protection", '= timestamp() != ""')
    replace(jobs, "= env.value", '= env.key == "RUN_DATE" ? timestamp() : env.value')
    replace(
        schedules, "  http_target {", '  dynamic "http_target" {\n for_each = timestamp() == "" ? [] : [1]\n content {'
    )
    replace(schedules, 'auth/cloud-platform"\n    }', 'auth/cloud-platform"\n    }\n }')
    replace(config, "  content      = each.value", "  content      = timestamp()")
    found = refusals(terraform.plan(standing, EVERYTHING))
    assert {line.partition(" would be known only after the apply. ")[0] for line in found} == {
        *(
            f'google_cloud_run_v2_job.main["{name}"]: deletion_protection, template.template.containers.env.value'
            for name in ("run", "verify")
        ),
        *(f'google_cloud_scheduler_job.main["{name}"]: http_target' for name in ("run", "verify")),
        *(f'google_storage_bucket_object.owned["{path.name}"]: content' for path in (standing / "config").iterdir()),
    }


@pytest.mark.slow
def test_config_goes_from_one_owner_to_the_other_and_back(terraform: Terraform, own_root: Path) -> None:
    applied(terraform, own_root, LITTLE)
    for ownership, old, new in (("operators", "owned", "seeded"), ("terraform", "seeded", "owned")):
        terraform.plan(own_root, LITTLE | {"config_ownership": ownership})
        printed = terraform.ask(own_root, "apply", "-no-color", "test.tfplan")
        went = [
            at.end() for at in re.finditer(rf"google_storage_bucket_object\.{old}\S+ Destruction complete", printed)
        ]
        came = [at.start() for at in re.finditer(rf"google_storage_bucket_object\.{new}\S+ Creating", printed)]
        assert len(went) == len(came) == len(list((own_root / "config").iterdir()))
        if old == "owned":
            assert max(went) < min(came), "else the old owner's delete could hit what the new one has just written"


@pytest.mark.slow
def test_edits_by_operators_are_kept(terraform: Terraform, own_root: Path) -> None:
    theirs = LITTLE | {"config_ownership": "operators"}
    applied(terraform, own_root, theirs)
    edit(own_root / "config")
    assert changes(terraform.plan(own_root, theirs)) == {}


@pytest.mark.slow
def test_a_late_bootstrap_destroys_nothing(terraform: Terraform, standing: Path) -> None:
    """Google's provider refuses to delete what is protected, and so does its stand-in."""
    before = terraform.ask(standing, "state", "list")
    terraform.plan(standing, EVERYTHING | {"image": None, "bootstrap": True})
    done = terraform.run(standing, "apply", "-no-color", "test.tfplan")
    assert done.returncode == 1
    assert "protected" in done.stderr
    assert terraform.ask(standing, "state", "list") == before


@pytest.mark.slow
def test_an_apply_without_protection_then_a_destroy_remove_everything(terraform: Terraform, standing: Path) -> None:
    assert terraform.run(standing, "destroy", "-no-color", "-auto-approve").returncode == 1, "it is protected"
    released = applied(terraform, standing, EVERYTHING | {"deletion_protection": False})
    assert set(map(tuple, released.values())) <= {("update",), ("create",)}
    terraform.ask(standing, "destroy", "-no-color", "-auto-approve")
    assert terraform.ask(standing, "state", "list") == ""

"""The merge guard allows only safe updates of Google's resources; these plans follow Terraform's documented format."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from terraform.tools import guard
from terraform.tools.plan import OBJECT

if TYPE_CHECKING:
    from collections.abc import Callable

    from terraform.tools.plan import Plan

ROOT = Path(__file__).resolve().parents[2]
Edit = dict[str, Any]

REPOSITORY = "asia-east1-docker.pkg.dev/p/cards"
IMAGE, NEXT = (f"{REPOSITORY}/job@sha256:{digit * 64}" for digit in "01")
REGISTRY = {
    "address": "google_artifact_registry_repository.main",
    "mode": "managed",
    "values": {"location": "asia-east1", "project": "p", "repository_id": "cards"},
}
ADDRESSES = {
    guard.JOB: 'google_cloud_run_v2_job.main["run"]',
    guard.SCHEDULE: 'google_cloud_scheduler_job.main["run"]',
    OBJECT: 'google_storage_bucket_object.owned["ticker_list.json"]',
}

JOB = {
    "name": "cards",
    "deletion_protection": True,
    "effective_labels": {},
    "etag": "old",
    "conditions": [{"type": "Ready"}],
    "labels": None,
    "template": [
        {
            "task_count": 1,
            "template": [
                {
                    "service_account": "cards-job@p.iam.gserviceaccount.com",
                    "max_retries": 3,
                    "timeout": "3600s",
                    "vpc_access": [],
                    "volumes": [],
                    "containers": [
                        {
                            "image": IMAGE,
                            "args": [],
                            "env": [{"name": "RUN_DATE", "value": "today", "value_source": []}],
                            "resources": [{"limits": {"cpu": "1", "memory": "512Mi"}}],
                            "volume_mounts": [],
                        }
                    ],
                }
            ],
        }
    ],
}
SCHEDULE = {
    "schedule": "30 6 * * *",
    "time_zone": "UTC",
    "paused": False,
    "attempt_deadline": "180s",
    "retry_config": [{"retry_count": 3}],
    "http_target": [
        {
            "uri": "https://run.googleapis.com/v2/projects/p/locations/r/jobs/cards:run",
            "body": "e30=",
            "oauth_token": [{"service_account_email": "cards-scheduler@p.iam.gserviceaccount.com"}],
            "oidc_token": [],
        }
    ],
}
ANSWERS = {"etag": True, "conditions": True, "template": [{"template": [{"containers": [{"env": [{}]}]}]}]}


def update(kind: str, before: Edit, change: Callable[[Edit], object], unknown: Edit | None = None) -> Plan:
    """Returns a plan that updates this resource in place; what is unknown at the top is left out, as Terraform does."""
    after = copy.deepcopy(before)
    change(after)
    for name in [name for name, value in (unknown or {}).items() if value is True]:
        after.pop(name, None)
    planned = {"actions": ["update"], "before": before, "after": after, "after_unknown": unknown or {}}
    address = ADDRESSES.get(kind, f"{kind}.main")
    return {
        "format_version": "1.2",
        "resource_changes": [{"address": address, "mode": "managed", "type": kind, "change": planned}],
        "prior_state": {"values": {"root_module": {"resources": [REGISTRY]}}},
    }


def new_image(image: str | None = NEXT, unknown: Edit | None = None) -> Plan:
    """Returns a plan that gives the job this image."""
    return update(guard.JOB, JOB, lambda job: container(job).update(image=image), unknown)


def addressed(plan: Plan, address: str) -> Plan:
    """The same update at another address."""
    plan["resource_changes"][0]["address"] = address
    return plan


def task(job: Edit) -> Edit:
    return job["template"][0]["template"][0]  # type: ignore[no-any-return]


def container(job: Edit) -> Edit:
    return task(job)["containers"][0]  # type: ignore[no-any-return]


def env(job: Edit) -> Edit:
    return container(job)["env"][0]  # type: ignore[no-any-return]


VARIABLE = {"name": "NEWS_ENGINE_URL", "value": "https://news", "value_source": []}
SECRET = {"name": "KEY", "value": "", "value_source": [{"secret_key_ref": [{"secret": "key", "version": "1"}]}]}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda job: container(job).update(image=NEXT), id="image"),
        pytest.param(lambda job: container(job)["env"].insert(0, VARIABLE), id="a variable more"),
        pytest.param(lambda job: container(job).update(env=[]), id="a variable less"),
        pytest.param(lambda job: container(job).update(args=["verify"]), id="arguments"),
        pytest.param(lambda job: container(job)["resources"][0]["limits"].update(memory="1Gi"), id="memory"),
        pytest.param(lambda job: task(job).update(timeout="7200s", max_retries=0), id="timeout and retries"),
        pytest.param(lambda job: job.update(labels={"a": "b"}, effective_labels={"a": "b"}), id="labels"),
        pytest.param(lambda job: task(job).update(vpc_access=None, volumes=None), id="another way to say nothing"),
    ],
)
def test_a_merge_may_change_what_a_job_runs(change: Callable[[Edit], object]) -> None:
    assert guard.refusals(update(guard.JOB, JOB, change, ANSWERS)) == []


@pytest.mark.parametrize(
    ("change", "beyond"),
    [
        (lambda job: task(job).update(service_account="owner@p"), "template.template.service_account"),
        (lambda job: task(job).update(vpc_access=[{"egress": "ALL_TRAFFIC"}]), "template.template.vpc_access"),
        (
            lambda job: task(job).update(volumes=[{"name": "x", "secret": [{"secret": "key"}]}]),
            "template.template.volumes",
        ),
        (lambda job: task(job)["containers"].append({"image": IMAGE}), "template.template.containers"),
        (lambda job: container(job)["env"].append(SECRET), "template.template.containers.env.value_source"),
        (lambda job: container(job).update(volume_mounts=["x"]), "template.template.containers.volume_mounts"),
        (lambda job: job.update(deletion_protection=False), "deletion_protection"),
        (lambda job: job.update(brand_new={"reach": "wider"}), "brand_new"),
        (lambda job: task(job).pop("service_account"), "template.template.service_account"),
    ],
)
def test_a_merge_may_not_change_the_rights_of_a_job(change: Callable[[Edit], object], beyond: str) -> None:
    def both(job: Edit) -> None:
        change(job)
        container(job).update(image=NEXT)

    (found,) = guard.refusals(update(guard.JOB, JOB, both, ANSWERS))
    assert found.startswith(f"{ADDRESSES[guard.JOB]}: {beyond}")
    assert " would change. " in found
    assert "image" not in found


HOOK = {"name": "NOTIFY_URL", "value": "", "value_source": [{"secret_key_ref": [{"secret": "hook", "version": "1"}]}]}


def with_hook() -> Edit:
    """A job that reads a secret."""
    job: Edit = copy.deepcopy(JOB)
    container(job)["env"].insert(0, copy.deepcopy(HOOK))
    return job


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda env: env.insert(0, VARIABLE), id="a variable before it"),
        pytest.param(lambda env: env.reverse(), id="another order"),
        pytest.param(lambda env: env.pop(), id="a variable less"),
    ],
)
def test_an_unchanged_secret_is_not_a_change(change: Callable[[list[Edit]], object]) -> None:
    """Variables are a set, which a plan shows in an order of its own."""
    plan = update(guard.JOB, with_hook(), lambda job: change(container(job)["env"]), ANSWERS)
    assert guard.refusals(plan) == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda env: env[0].update(name="RUN_ID"), id="into another variable"),
        pytest.param(
            lambda env: env[0]["value_source"][0]["secret_key_ref"][0].update(secret="x"), id="another secret"
        ),
        pytest.param(lambda env: env[0].update(value="https://evil.example", value_source=[]), id="a plain value"),
        pytest.param(lambda env: env.pop(0), id="none"),
        pytest.param(lambda env: env.insert(0, env[0] | {"value_source": [], "value": "x"}), id="two of a name"),
        pytest.param(lambda env: env.insert(0, SECRET), id="one more"),
    ],
)
def test_a_merge_changes_no_secret_of_a_job(change: Callable[[list[Edit]], object]) -> None:
    (found,) = guard.refusals(update(guard.JOB, with_hook(), lambda job: change(container(job)["env"]), ANSWERS))
    assert found.startswith(f"{ADDRESSES[guard.JOB]}: template.template.containers.env.value_source")
    assert " would change. " in found


# --- what is unknown until the apply ---


@pytest.mark.parametrize(
    "name",
    [
        *(
            "deletion_protection",
            "launch_stage",
            "binary_authorization",
            "run_execution_token",
            "start_execution_token",
        ),
        *("template", "client", "project", "id", "brand_new", "effective_labels", "labels"),
    ],
)
def test_an_unknown_attribute_of_a_job_is_refused(name: str) -> None:
    """Labels and similar attributes may change, but only to values that the plan shows."""
    plan = update(guard.JOB, JOB, lambda job: job, ANSWERS | {name: True})
    (found,) = guard.refusals(plan)
    assert found.startswith(f"{ADDRESSES[guard.JOB]}: {name} would be known only after the apply. ")


@pytest.mark.parametrize(
    ("change", "unknown", "name"),
    [
        (lambda job: task(job).pop("service_account"), {"service_account": True}, "service_account"),
        (lambda job: task(job).pop("containers"), {"containers": True}, "containers"),
        (lambda job: task(job).update(containers=[None]), {"containers": [True]}, "containers"),
        (lambda job: container(job).pop("image"), {"containers": [{"image": True}]}, "containers.image"),
        (lambda job: container(job).pop("env"), {"containers": [{"env": True}]}, "containers.env"),
        (lambda job: env(job).pop("value"), {"containers": [{"env": [{"value": True}]}]}, "containers.env.value"),
        (lambda job: env(job).pop("name"), {"containers": [{"env": [{"name": True}]}]}, "containers.env.name"),
        (lambda job: container(job).update(args=[None]), {"containers": [{"args": [True]}]}, "containers.args"),
    ],
)
def test_an_unknown_attribute_of_a_jobs_template_is_refused(
    change: Callable[[Edit], object], unknown: Edit, name: str
) -> None:
    (found,) = guard.refusals(update(guard.JOB, JOB, change, {"template": [{"template": [unknown]}]}))
    assert found.startswith(f"{ADDRESSES[guard.JOB]}: template.template.{name} would be known only after the apply. ")


@pytest.mark.parametrize("name", ["http_target", "schedule", "deletion_policy", "name", "pubsub_target"])
def test_an_unknown_attribute_of_a_schedule_is_refused(name: str) -> None:
    plan = update(guard.SCHEDULE, SCHEDULE, lambda schedule: schedule, {"state": True, name: True})
    (found,) = guard.refusals(plan)
    assert found.startswith(f"{ADDRESSES[guard.SCHEDULE]}: {name} would be known only after the apply. ")


@pytest.mark.parametrize("name", ["source", "content", "bucket", "metadata", "detect_md5hash"])
def test_an_unknown_attribute_of_a_config_object_is_refused(name: str) -> None:
    plan = object_plan()
    plan["resource_changes"][0]["change"]["after_unknown"] |= {name: True}
    plan["resource_changes"][0]["change"]["after"] |= {name: None}
    (found,) = guard.refusals(plan)
    assert found.startswith(f"{NAME}: {name} would be known only after the apply. ")


SCHEMA = json.loads((ROOT / "tests/deploy/terraform/schema.json").read_text(encoding="utf-8"))["resources"]


@pytest.mark.parametrize("kind", guard.ANSWERS)
def test_only_values_that_the_provider_alone_sets_may_be_unknown(kind: str) -> None:
    """If a provider sets more values, this test fails, so that somebody decides whether the guard may allow them."""
    attributes = SCHEMA[kind]["block"]["attributes"]
    computed = {name for name, one in attributes.items() if one.get("computed") and not one.get("optional")}
    from_the_configuration = {"effective_annotations", "effective_labels", "terraform_labels"}
    assert set(guard.ANSWERS[kind]) == computed - from_the_configuration


@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind, paths in guard.MAY_CHANGE.items() for path in paths])
def test_every_attribute_that_may_change_exists_in_the_provider(kind: str, path: str) -> None:
    block = SCHEMA[kind]["block"]
    *blocks, last = path.split(".")
    for name in blocks:
        block = block["block_types"][name]["block"]
    assert last in {**block["attributes"], **block.get("block_types", {})}


# --- which resources ---


def test_an_update_without_an_action_is_refused() -> None:
    plan = new_image()
    plan["resource_changes"][0]["change"]["actions"] = []
    (found,) = guard.refusals(plan)
    assert found.startswith(f"{ADDRESSES[guard.JOB]}: no action. ")


@pytest.mark.parametrize(
    "address",
    [
        'module.x.google_cloud_run_v2_job.main["run"]',
        "google_cloud_run_v2_job.main",
        "google_cloud_run_v2_job.main[0]",
        'google_cloud_run_v2_job.main["other"]',
        'google_cloud_run_v2_job.mainly["run"]',
        'google_cloud_run_v2_job.main["run"].x',
        'google_cloud_scheduler_job.main["run"]',
    ],
)
def test_a_job_at_another_address_is_refused(address: str) -> None:
    (found,) = guard.refusals(addressed(new_image(), address))
    assert found.startswith(f"{address}: update. ")


@pytest.mark.parametrize("address", ['module.x.google_cloud_scheduler_job.main["run"]', "google_cloud_scheduler_job.x"])
def test_a_schedule_at_another_address_is_refused(address: str) -> None:
    plan = update(guard.SCHEDULE, SCHEDULE, lambda schedule: schedule.update(paused=True))
    (found,) = guard.refusals(addressed(plan, address))
    assert found.startswith(f"{address}: update. ")


@pytest.mark.parametrize("address", [*ADDRESSES.values(), 'google_cloud_run_v2_job.main["verify"]'])
def test_an_unchanged_resource_is_not_refused(address: str) -> None:
    plan = addressed(new_image("elsewhere"), f"module.x.{address}")
    plan["resource_changes"][0]["change"]["actions"] = ["no-op"]
    assert guard.refusals(plan) == []


# --- which image ---


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(f"{REPOSITORY}/job:latest", id="tag"),
        pytest.param(f"{REPOSITORY}/job", id="neither tag nor digest"),
        pytest.param(f"{REPOSITORY}/job:1@sha256:{'1' * 64}", id="tag and digest"),
        pytest.param(f"{REPOSITORY}/job@sha256:{'1' * 63}", id="a piece of a digest"),
        pytest.param(f"{NEXT}0", id="more than a digest"),
        pytest.param(f"{NEXT}\n", id="a line more"),
        pytest.param(NEXT.replace("/job@", "/jobs@"), id="another image"),
        pytest.param(NEXT.replace("/p/", "/q/"), id="another project"),
        pytest.param(NEXT.replace("/cards/", "/cards/cards/"), id="another folder"),
        pytest.param(NEXT.replace("asia-east1", "us-east1"), id="another region"),
        pytest.param(NEXT.replace("docker.pkg.dev", "dockerxpkgxdev"), id="another host"),
        pytest.param(f"docker.io/{NEXT}", id="behind another host"),
        pytest.param(None, id="none"),
    ],
)
def test_an_image_that_is_not_this_roots_own_is_refused(image: str | None) -> None:
    (found,) = guard.refusals(new_image(image))
    assert found == (
        f"{ADDRESSES[guard.JOB]}: template.template.containers.image would be {image!r}. "
        f"Deploy an image of this root by its digest: {REPOSITORY}/job@sha256:…"
    )


def test_an_image_is_compared_with_the_registry_of_the_state_alone() -> None:
    """A merge can change variables, outputs, planned values and the outputs of the prior state."""
    elsewhere = NEXT.replace("/p/", "/q/")
    registry = REGISTRY | {"values": REGISTRY["values"] | {"project": "q"}}  # type: ignore[operator]
    outputs = {"image_name": {"value": elsewhere.partition("@")[0]}}
    plan = new_image(elsewhere)
    plan["variables"] = {"image": {"value": elsewhere}, "project_id": {"value": "q"}}
    plan["planned_values"] = {"root_module": {"resources": [registry]}, "outputs": outputs}
    plan["prior_state"]["values"]["outputs"] = outputs
    plan["prior_state"]["values"]["root_module"] |= {
        "child_modules": [{"resources": [registry]}],
        "resources": [registry | {"address": "google_artifact_registry_repository.other"}, REGISTRY],
    }
    (found,) = guard.refusals(plan)
    assert "template.template.containers.image would be" in found


@pytest.mark.parametrize("prior", [{}, {"values": {}}, {"values": {"root_module": {"resources": []}}}])
def test_an_image_is_refused_if_the_state_has_no_registry(prior: Edit) -> None:
    (found,) = guard.refusals(new_image() | {"prior_state": prior})
    assert found.startswith(f"{ADDRESSES[guard.JOB]}: template.template.containers.image cannot be checked, ")


# --- schedules ---


@pytest.mark.parametrize(
    "change",
    [
        lambda schedule: schedule.update(schedule="0 7 * * *", time_zone="Asia/Shanghai"),
        lambda schedule: schedule.update(paused=True, attempt_deadline="60s"),
        lambda schedule: schedule["retry_config"][0].update(retry_count=0),
    ],
)
def test_a_merge_may_change_when_a_schedule_runs(change: Callable[[Edit], object]) -> None:
    assert guard.refusals(update(guard.SCHEDULE, SCHEDULE, change, {"state": True})) == []


@pytest.mark.parametrize(
    ("change", "beyond"),
    [
        (lambda target: target.update(uri="https://evil.example"), "http_target.uri"),
        (lambda target: target.update(body="e319"), "http_target.body"),
        (lambda target: target.update(headers={"a": "b"}), "http_target.headers"),
        (lambda target: target.update(oidc_token=[{"audience": "x"}]), "http_target.oidc_token"),
        (
            lambda target: target["oauth_token"][0].update(service_account_email="owner@p"),
            "http_target.oauth_token.service_account_email",
        ),
    ],
)
def test_a_merge_may_not_change_whom_a_schedule_calls(change: Callable[[Edit], object], beyond: str) -> None:
    plan = update(guard.SCHEDULE, SCHEDULE, lambda schedule: change(schedule["http_target"][0]))
    (found,) = guard.refusals(plan)
    assert found.startswith(f"{ADDRESSES[guard.SCHEDULE]}: {beyond}")
    assert " would change. " in found


def test_a_merge_changes_no_policy_even_in_place() -> None:
    plan = update(
        "google_storage_bucket_iam_policy", {"policy_data": "{}"}, lambda policy: policy.update(policy_data="x")
    )
    (found,) = guard.refusals(plan)
    assert found.startswith("google_storage_bucket_iam_policy.main: update. ")


# --- config objects ---

OLD = '["600519"]\n'
OLD_MD5 = "cETkP7mmRMZcJG8O4YyQ1w=="
NAME = ADDRESSES[OBJECT]


def object_plan(address: str = NAME, md5: str = OLD_MD5, *, drifted_from: str | None = None) -> Plan:
    """Returns a plan that writes new content into a config object; the refresh found `md5` in the bucket."""
    before = {"bucket": "b", "name": "config/ticker_list.json", "content": OLD, "md5hash": md5, "generation": 1}
    plan = update(OBJECT, before, lambda it: it.update(content="[]\n", detect_md5hash="different hash"))
    plan["resource_changes"][0]["change"]["after_unknown"] = {"md5hash": True, "crc32c": True, "generation": True}
    plan["resource_changes"][0]["address"] = address
    if drifted_from is not None:
        drift = {"actions": ["update"], "before": before | {"content": drifted_from}, "after": before}
        plan["resource_drift"] = [{"address": address, "type": OBJECT, "change": drift}]
    return plan


def test_a_merge_may_change_the_config() -> None:
    assert guard.refusals(object_plan()) == []


def test_a_merge_does_not_overwrite_an_edit_in_the_bucket() -> None:
    (found,) = guard.refusals(object_plan(md5="1B2M2Y8AsgTpgAmY7PhCfg=="))
    assert found.startswith(f"{NAME}: content was edited in the bucket, and the edit would be lost. ")


def test_what_terraform_wrote_is_what_the_state_knew_before_the_refresh() -> None:
    # Should a provider ever read the content back, the edit would look as if Terraform had written it.
    (found,) = guard.refusals(object_plan(drifted_from="what Terraform wrote"))
    assert found.startswith(f"{NAME}: content was edited in the bucket")


@pytest.mark.parametrize(
    "address",
    [
        'google_storage_bucket_object.website["index.html"]',
        'google_storage_bucket_object.seeded["ticker_list.json"]',
        'google_storage_bucket_object.owned["index.html"]',
        'google_storage_bucket_object.owned["a"].x["b.json"]',
        f"module.x.{NAME}",
    ],
)
def test_another_object_than_a_config_object_is_refused(address: str) -> None:
    (found,) = guard.refusals(object_plan(address))
    assert found.startswith(f"{address}: update. ")


def test_drift_alone_is_nothing_to_apply() -> None:
    plan = new_image()
    drift = {"actions": ["update"], "before": JOB, "after": JOB | {"etag": "new"}}
    plan["resource_drift"] = [{"address": "x", "type": "google_project_iam_member", "change": drift}]
    assert guard.refusals(plan) == []

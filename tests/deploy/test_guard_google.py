"""What of Google's resources a merge may change: plans as their format is documented."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from terraform import guard

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
Edit = dict[str, Any]

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
                            "image": "registry/cards@sha256:0",
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


def update(kind: str, before: Edit, change: Callable[[Edit], object], unknown: Edit | None = None) -> guard.Plan:
    """A plan that updates this resource in place."""
    after = copy.deepcopy(before)
    change(after)
    for name in [name for name, value in (unknown or {}).items() if value is True]:
        after.pop(name, None)
    planned = {"actions": ["update"], "before": before, "after": after, "after_unknown": unknown or {}}
    return {
        "format_version": "1.2",
        "resource_changes": [{"address": f"{kind}.main", "mode": "managed", "type": kind, "change": planned}],
    }


def task(job: Edit) -> Edit:
    return job["template"][0]["template"][0]  # type: ignore[no-any-return]


def container(job: Edit) -> Edit:
    return task(job)["containers"][0]  # type: ignore[no-any-return]


VARIABLE = {"name": "NEWS_ENGINE_URL", "value": "https://news", "value_source": []}
SECRET = {"name": "KEY", "value": "", "value_source": [{"secret_key_ref": [{"secret": "key", "version": "1"}]}]}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda job: container(job).update(image="registry/cards@sha256:1"), id="image"),
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
    assert guard.refusals(update("google_cloud_run_v2_job", JOB, change, ANSWERS)) == []


@pytest.mark.parametrize(
    ("change", "beyond"),
    [
        (lambda job: task(job).update(service_account="owner@p"), "template.template.service_account"),
        (lambda job: task(job).update(vpc_access=[{"egress": "ALL_TRAFFIC"}]), "template.template.vpc_access"),
        (
            lambda job: task(job).update(volumes=[{"name": "x", "secret": [{"secret": "key"}]}]),
            "template.template.volumes",
        ),
        (lambda job: task(job)["containers"].append({"image": "x"}), "template.template.containers"),
        (lambda job: container(job)["env"].append(SECRET), "template.template.containers.env.value_source"),
        (lambda job: container(job).update(volume_mounts=["x"]), "template.template.containers.volume_mounts"),
        (lambda job: job.update(deletion_protection=False), "deletion_protection"),
        (lambda job: job.update(brand_new={"reach": "wider"}), "brand_new"),
        (lambda job: task(job).pop("service_account"), "template.template.service_account"),
    ],
)
def test_a_merge_may_not_change_what_a_job_may(change: Callable[[Edit], object], beyond: str) -> None:
    def both(job: Edit) -> None:
        change(job)
        container(job).update(image="registry/cards@sha256:1")

    (found,) = guard.refusals(update("google_cloud_run_v2_job", JOB, both, ANSWERS))
    assert found.startswith(f"google_cloud_run_v2_job.main: update of {beyond}")
    assert "image" not in found


def test_a_right_that_only_the_apply_will_tell_is_refused() -> None:
    unknown = {"etag": True, "template": [{"template": [{"service_account": True}]}]}
    found = guard.refusals(
        update("google_cloud_run_v2_job", JOB, lambda job: task(job).pop("service_account"), unknown)
    )
    assert found == ["google_cloud_run_v2_job.main: update of template.template.service_account"]


@pytest.mark.parametrize(
    "change",
    [
        lambda schedule: schedule.update(schedule="0 7 * * *", time_zone="Asia/Shanghai"),
        lambda schedule: schedule.update(paused=True, attempt_deadline="60s"),
        lambda schedule: schedule["retry_config"][0].update(retry_count=0),
    ],
)
def test_a_merge_may_change_when_a_schedule_runs(change: Callable[[Edit], object]) -> None:
    assert guard.refusals(update("google_cloud_scheduler_job", SCHEDULE, change, {"state": True})) == []


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
    plan = update("google_cloud_scheduler_job", SCHEDULE, lambda schedule: change(schedule["http_target"][0]))
    (found,) = guard.refusals(plan)
    assert found.startswith(f"google_cloud_scheduler_job.main: update of {beyond}")


SCHEMA = ROOT / "tests/deploy/terraform/schema.json"


@pytest.mark.skipif(not SCHEMA.exists(), reason="the provider's schema is not there yet")
@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind, paths in guard.MAY_CHANGE.items() for path in paths])
def test_what_may_change_is_what_the_provider_has(kind: str, path: str) -> None:
    block = json.loads(SCHEMA.read_text(encoding="utf-8"))["resources"][kind]["block"]
    *blocks, last = path.split(".")
    for name in blocks:
        block = block["block_types"][name]["block"]
    assert last in {**block["attributes"], **block.get("block_types", {})}


def test_a_merge_changes_no_policy_even_in_place() -> None:
    plan = update(
        "google_storage_bucket_iam_policy", {"policy_data": "{}"}, lambda policy: policy.update(policy_data="x")
    )
    assert guard.refusals(plan) == ["google_storage_bucket_iam_policy.main: update"]


OLD = '["600519"]\n'
OLD_MD5 = "cETkP7mmRMZcJG8O4YyQ1w=="
NAME = 'google_storage_bucket_object.owned["ticker_list.json"]'


def object_plan(address: str = NAME, md5: str = OLD_MD5, *, drifted_from: str | None = None) -> guard.Plan:
    """A plan that writes new content into a config object; `md5` is what the refresh found in the bucket."""
    before = {"bucket": "b", "name": "config/ticker_list.json", "content": OLD, "md5hash": md5, "generation": 1}
    plan = update(guard.OBJECT, before, lambda it: it.update(content="[]\n", detect_md5hash="different hash"))
    plan["resource_changes"][0]["change"]["after_unknown"] = {"md5hash": True, "crc32c": True, "generation": True}
    plan["resource_changes"][0]["address"] = address
    if drifted_from is not None:
        drift = {"actions": ["update"], "before": before | {"content": drifted_from}, "after": before}
        plan["resource_drift"] = [{"address": address, "type": guard.OBJECT, "change": drift}]
    return plan


def test_a_merge_may_change_the_config() -> None:
    assert guard.refusals(object_plan()) == []


def test_a_merge_does_not_overwrite_an_edit_in_the_bucket() -> None:
    (found,) = guard.refusals(object_plan(md5="1B2M2Y8AsgTpgAmY7PhCfg=="))
    assert found.startswith(f"{NAME}: somebody's edit in the bucket would be lost")


def test_what_terraform_wrote_is_what_the_state_knew_before_the_refresh() -> None:
    # Should a provider ever read the content back, the edit would look as if Terraform had written it.
    (found,) = guard.refusals(object_plan(drifted_from="what Terraform wrote"))
    assert found.startswith(f"{NAME}: somebody's edit")


def test_another_object_than_a_config_object_is_refused() -> None:
    address = 'google_storage_bucket_object.website["index.html"]'
    assert guard.refusals(object_plan(address)) == [f"{address}: update"]


def test_what_drifted_by_itself_is_nothing_to_apply() -> None:
    plan = update("google_cloud_run_v2_job", JOB, lambda job: container(job).update(image="registry/cards@sha256:1"))
    drift = {"actions": ["update"], "before": JOB, "after": JOB | {"etag": "new"}}
    plan["resource_drift"] = [{"address": "x", "type": "google_project_iam_member", "change": drift}]
    assert guard.refusals(plan) == []

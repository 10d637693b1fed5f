"""A plan grants exactly what a table lists, and sets the job's environment to the job's own settings."""

import json
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from job.config.environment import VARIABLES, read_settings
from job.config.objects import OBJECTS, read_config
from job.engines.catalog import ALL_ENGINES
from tests.deploy.terraform.command import ROOT, Terraform
from tests.deploy.terraform.sample import EVERYTHING, MAINTAINERS, OPERATORS, VIEWERS, environment, resources, secrets

JOB, SCHEDULER, BUILD, REVIEW = (
    f"serviceAccount:batch-orchestrator-{name}@my-project.iam.gserviceaccount.com"
    for name in ("job", "scheduler", "build", "review")
)
CONFIG, RUNS = "my-project-batch-orchestrator-config", "my-project-batch-orchestrator-runs"

GRANTS = {
    *((JOB, "roles/run.invoker", f"{name}-project/{name}-engine") for name in ALL_ENGINES),
    (JOB, "roles/storage.objectViewer", CONFIG),
    (JOB, "roles/storage.objectUser", RUNS),
    (JOB, "roles/secretmanager.secretAccessor", "my-project/cards-hook"),
    (JOB, "roles/secretmanager.secretAccessor", "my-project/cards-hook-key"),
    (SCHEDULER, "roles/run.invoker", "my-project/batch-orchestrator"),
    (SCHEDULER, "roles/run.invoker", "my-project/batch-orchestrator-verify"),
    (MAINTAINERS, "roles/run.jobsExecutorWithOverrides", "my-project/batch-orchestrator"),
    (OPERATORS, "roles/run.jobsExecutor", "my-project/batch-orchestrator"),
    *(
        grant
        for member in (MAINTAINERS, OPERATORS, VIEWERS)
        for grant in (
            (member, "roles/logging.viewer", "my-project"),
            (member, "roles/run.viewer", "my-project/batch-orchestrator"),
            (member, "roles/storage.objectViewer", CONFIG),
            (member, "roles/storage.objectViewer", RUNS),
        )
    ),
}
BUILD_GRANTS = {
    (BUILD, "roles/artifactregistry.writer", "my-project/batch-orchestrator"),
    (BUILD, "roles/iam.serviceAccountUser", f"projects/my-project/serviceAccounts/{JOB.partition(':')[2]}"),
    (BUILD, "roles/iam.serviceAccountUser", f"projects/my-project/serviceAccounts/{SCHEDULER.partition(':')[2]}"),
    (BUILD, "projects/my-project/roles/batch_orchestrator_jobs", "my-project/batch-orchestrator"),
    (BUILD, "projects/my-project/roles/batch_orchestrator_jobs", "my-project/batch-orchestrator-verify"),
    (BUILD, "projects/my-project/roles/batch_orchestrator_schedules", "my-project"),
    (BUILD, "roles/storage.objectUser", CONFIG),
    (BUILD, "roles/storage.objectUser", "my-state"),
    (REVIEW, "roles/storage.objectViewer", CONFIG),
    (REVIEW, "roles/storage.objectViewer", "my-state"),
    *(
        grant
        for member in (BUILD, REVIEW)
        for grant in (
            (member, "roles/logging.logWriter", "my-project"),
            (member, "projects/my-project/roles/batch_orchestrator_refresh", "my-project"),
            *((member, "roles/run.viewer", f"{name}-project/{name}-engine") for name in ALL_ENGINES),
        )
    ),
}
REFRESHED = {
    "artifactregistry.repositories.get",
    "artifactregistry.repositories.getIamPolicy",
    "cloudbuild.builds.get",
    "cloudscheduler.jobs.get",
    "iam.roles.get",
    "iam.serviceAccounts.get",
    "iam.serviceAccounts.getIamPolicy",
    "monitoring.alertPolicies.get",
    "resourcemanager.projects.get",
    "resourcemanager.projects.getIamPolicy",
    "run.jobs.get",
    "run.jobs.getIamPolicy",
    "run.operations.get",
    "secretmanager.secrets.getIamPolicy",
    "serviceusage.services.get",
    "serviceusage.services.list",
    "storage.buckets.get",
    "storage.buckets.getIamPolicy",
}

BY_HAND = {"RUN_ID", "IMPERSONATE_SERVICE_ACCOUNT", "LOG_FORMAT", "RESUME_WITH"}
PLATFORM = {"CLOUD_RUN_EXECUTION", "CLOUD_RUN_JOB", "CLOUD_RUN_TASK_ATTEMPT", "CLOUD_RUN_TASK_COUNT"}
LIBRARIES = {"DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"}


# --- rights ---


def grants(shown: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Who may do what on what: the last part of its name is what a plan and a state have in common."""
    found = set()
    for address, values in resources(shown).items():
        if "_iam_" in address and not address.startswith("google_project_iam_custom_role."):
            assert "_iam_member." in address, f"{address} would take others' grants away"
            assert not values.get("condition"), f"{address} has a condition that this table does not show"
            on = values.get("bucket", "").removeprefix("b/") or values.get("service_account_id") or values["project"]
            name = values.get("name") or values.get("repository") or values.get("secret_id")
            found.add((values["member"], values["role"], f"{on}/{name.rpartition('/')[2]}" if name else on))
    return found


def test_the_grants_are_exactly_these(state: dict[str, Any]) -> None:
    assert grants(state) == GRANTS | BUILD_GRANTS


def test_the_custom_roles_have_exactly_these_permissions(everything: dict[str, Any]) -> None:
    roles = resources(everything, "google_project_iam_custom_role").values()
    assert {role["role_id"]: set(role["permissions"]) for role in roles} == {
        "batch_orchestrator_jobs": {"run.jobs.get", "run.jobs.update"},
        "batch_orchestrator_refresh": REFRESHED,
        "batch_orchestrator_schedules": {f"cloudscheduler.jobs.{verb}" for verb in ("enable", "pause", "update")},
    }


def test_the_grants_without_a_build(terraform: Terraform, own_root: Path) -> None:
    assert grants(terraform.plan(own_root, EVERYTHING | {"build": None})) == GRANTS


def test_no_other_kind_of_resource_is_planned(everything: dict[str, Any]) -> None:
    """A new kind of resource may grant access in its own way, so it has to be added here."""
    kinds = {address.partition(".")[0] for address in resources(everything)}
    assert {kind for kind in kinds if not kind.endswith("_iam_member")} == {
        "google_artifact_registry_repository",
        "google_cloud_run_v2_job",
        "google_cloud_scheduler_job",
        "google_cloudbuild_trigger",
        "google_monitoring_alert_policy",
        "google_project_iam_custom_role",
        "google_project_service",
        "google_service_account",
        "google_storage_bucket",
        "google_storage_bucket_object",
    }


# --- the seam: what Terraform sets is what the job reads ---


def test_the_job_reads_what_terraform_sets(everything: dict[str, Any]) -> None:
    given = environment(everything) | dict.fromkeys(secrets(everything), "https://hook.example/")
    settings, faults = read_settings(given, datetime.now(UTC))
    assert faults == []
    assert settings.notices == ()
    assert settings.max_retries == 2
    assert set(VARIABLES) - BY_HAND - PLATFORM == given.keys() - LIBRARIES
    assert set(VARIABLES) >= BY_HAND | PLATFORM, "they are read no more"


def test_secrets_are_in_no_plan(everything: dict[str, Any]) -> None:
    """Only their names are: the job gets their values from Secret Manager."""
    assert secrets(everything) == {"NOTIFY_URL": "cards-hook", "NOTIFY_SECRET": "cards-hook-key"}
    assert secrets(everything, "verify") == secrets(everything)
    assert "google_secret_manager_secret_version" not in str(everything)


def test_the_job_accepts_the_planned_environment(everything: dict[str, Any]) -> None:
    settings, _ = read_settings(environment(everything), datetime(2026, 1, 1, 17, tzinfo=UTC))
    assert settings.config_uri == f"gs://{CONFIG}/config"
    assert settings.runs_uri == f"gs://{RUNS}/runs"
    assert settings.run_date == "2026-01-02", "in Asia/Shanghai it is tomorrow already"
    assert settings.deadline == 7000
    assert settings.project == "my-project"
    for name, engine in settings.engines.items():
        given = EVERYTHING["engines"][name]
        assert engine.url == given["url"]
        assert engine.audience == given["audience"]
        assert (engine.timeout, engine.concurrency, engine.attempts) == (
            given["timeout_seconds"],
            given["concurrency"],
            given["attempts"],
        )
        assert engine.batch_size == given.get("batch_size", 1)


def test_the_defaults_that_terraform_assumes_are_the_jobs() -> None:
    written = re.search(r"engine_defaults = \{\n(.*?)\n  \}", (ROOT / "engines.tf").read_text(), re.DOTALL)
    assert written
    # Each line is TOML as it stands, spaces aside.
    assert tomllib.loads(re.sub(r"^ +", "", written[1], flags=re.MULTILINE)) == {
        name: {"timeout_seconds": engine.timeout, "attempts": engine.attempts}
        for name, engine in read_settings({}, datetime.now(UTC))[0].engines.items()
    }


def test_the_config_objects_that_terraform_knows_are_those_that_the_job_reads() -> None:
    written = re.findall(r"config_(?:required|optional) = (\[.*\])", (ROOT / "config_documents.tf").read_text())
    required, optional = map(json.loads, written)
    assert (*required, *optional) == OBJECTS
    _, faults, _ = read_config({})
    assert [fault.where for fault in faults] == required


def test_the_verification_job_has_the_same_environment(everything: dict[str, Any]) -> None:
    own = {"TASK_MAX_RETRIES": "0"}
    assert environment(everything, "verify") == environment(everything) | own


# --- what waits for what ---


def test_every_resource_waits_for_its_api(everything: dict[str, Any]) -> None:
    """Directly, or through a resource that it depends on."""
    waits: dict[str, set[str]] = {}
    for one in everything["configuration"]["root_module"]["resources"]:
        if one["mode"] == "managed":
            text = (
                str(one.get("expressions", {}))
                + str(one.get("for_each_expression", {}))
                + str(one.get("depends_on", []))
            )
            waits[one["address"]] = set(re.findall(r"google_\w+\.\w+", text)) - {one["address"]}
    ready = {"google_project_service.main"}
    while more := {address for address, needs in waits.items() if needs & ready} - ready:
        ready |= more
    assert set(waits) == ready


def test_the_apis_stay_enabled_after_a_destroy(everything: dict[str, Any]) -> None:
    apis = resources(everything, "google_project_service").values()
    assert {api["service"].removesuffix(".googleapis.com") for api in apis if api["disable_on_destroy"] is False} == {
        *("artifactregistry", "cloudbuild", "cloudresourcemanager", "cloudscheduler", "containeranalysis", "iam"),
        *("logging", "monitoring", "run", "secretmanager", "storage"),
    }

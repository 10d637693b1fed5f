"""A plan grants exactly what a table lists, and sets the job's environment to the job's own settings."""

import re
from typing import Any

import pytest

from job.config.environment import VARIABLES, read_settings
from job.config.objects import OBJECTS
from job.day.report import NIGHTS_PAGE
from job.engines.calls import ALL_ENGINES
from job.storage.uri import address_of
from tests.deploy.terraform.sample import EVERYTHING, MAINTAINER, OPERATOR, VIEWER, environment, resources, secrets

pytestmark = [pytest.mark.slow, pytest.mark.needs("terraform")]

JOB, SCHEDULER, BUILD, REVIEW = (
    f"serviceAccount:batch-orchestrator-{name}@my-project.iam.gserviceaccount.com"
    for name in ("job", "scheduler", "build", "review")
)
RUN, VERIFY = "my-project/batch-orchestrator", "my-project/batch-orchestrator-verify"
CONFIG, RUNS = "my-project-batch-orchestrator-config", "my-project-batch-orchestrator-runs"

GRANTS = {
    *((JOB, "roles/run.invoker", f"{name}-project/{name}-engine") for name in ALL_ENGINES),
    (JOB, "roles/storage.objectViewer", CONFIG),
    (JOB, "roles/storage.objectUser", RUNS),
    (JOB, "roles/secretmanager.secretAccessor", "my-project/cards-hook"),
    (JOB, "roles/secretmanager.secretAccessor", "my-project/cards-hook-key"),
    (SCHEDULER, "roles/run.invoker", RUN),
    (SCHEDULER, "roles/run.invoker", VERIFY),
    (BUILD, "roles/artifactregistry.writer", RUN),
    (BUILD, "roles/iam.serviceAccountUser", "google_service_account.job.name"),
    (BUILD, "roles/logging.logWriter", "my-project"),
    (BUILD, "roles/run.developer", RUN),
    (BUILD, "roles/run.developer", VERIFY),
    (BUILD, "roles/storage.objectUser", CONFIG),
    (REVIEW, "roles/logging.logWriter", "my-project"),
    *(
        grant
        for member in (VIEWER, OPERATOR, MAINTAINER)
        for grant in (
            (member, "roles/logging.viewer", "my-project"),
            (member, "roles/run.viewer", RUN),
            (member, "roles/storage.objectViewer", RUNS),
        )
    ),
    (VIEWER, "roles/storage.objectViewer", CONFIG),
    (OPERATOR, "roles/storage.objectUser", CONFIG),
    (MAINTAINER, "roles/storage.objectUser", CONFIG),
    (OPERATOR, "roles/run.jobsExecutor", RUN),
    (MAINTAINER, "roles/run.jobsExecutorWithOverrides", RUN),
}

BY_HAND = {"IMPERSONATE_SERVICE_ACCOUNT", "LOG_FORMAT", "SSL_CERT_FILE", "START_WITH"}
PLATFORM = {"CLOUD_RUN_EXECUTION", "CLOUD_RUN_JOB", "CLOUD_RUN_TASK_ATTEMPT", "CLOUD_RUN_TASK_COUNT"}
NUMBERS = ("TIMEOUT", "CONCURRENCY", "PATIENCE", "PER_MINUTE", "BATCH_SIZE")
LIBRARIES = {"DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"}


# --- rights ---


def grants(plan: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Who may do what on what. An account's name is not known before it is made, so it stands as it is written."""
    written = {one["address"]: one["expressions"] for one in plan["configuration"]["root_module"]["resources"]}
    found = set()
    for address, values in resources(plan).items():
        if "_iam_" in address:
            assert "_iam_member." in address, f"{address} would take others' grants away"
            assert not values.get("condition"), f"{address} has a condition that this table does not show"
            on = values.get("bucket") or values.get("service_account_id") or values.get("project")
            on = on or written[address.partition("[")[0]]["service_account_id"]["references"][0]
            name = values.get("name") or values.get("repository") or values.get("secret_id")
            found.add((values["member"], values["role"], f"{on}/{name}" if name else on))
    return found


def test_the_grants_are_exactly_these(everything: dict[str, Any]) -> None:
    assert grants(everything) == GRANTS


def test_no_other_kind_of_resource_is_planned(everything: dict[str, Any]) -> None:
    """A new kind of resource may grant access in its own way, so it has to be added here."""
    kinds = {address.partition(".")[0] for address in resources(everything)}
    assert {kind for kind in kinds if not kind.endswith("_iam_member")} == {
        "google_artifact_registry_repository",
        "google_cloud_run_v2_job",
        "google_cloud_scheduler_job",
        "google_cloudbuild_trigger",
        "google_monitoring_alert_policy",
        "google_project_service",
        "google_service_account",
        "google_storage_bucket",
        "google_storage_bucket_object",
    }


# --- the seam: what Terraform sets is what the job reads ---


def test_the_job_knows_what_terraform_sets_and_the_other_way_round(everything: dict[str, Any]) -> None:
    given = environment(everything, "verify").keys() | secrets(everything).keys()
    assert given - LIBRARIES == set(VARIABLES) - BY_HAND - PLATFORM
    assert set(VARIABLES) >= BY_HAND | PLATFORM, "they are read no more"


def test_the_job_accepts_the_planned_environment(everything: dict[str, Any]) -> None:
    given = environment(everything) | dict.fromkeys(secrets(everything), "https://hook.example/")
    settings, faults = read_settings(given)
    assert faults == []
    assert settings.notices == ()
    assert settings.config_uri == f"gs://{CONFIG}/config"
    assert settings.runs_uri == f"gs://{RUNS}/runs"
    assert settings.deadline == 7140
    for name, engine in settings.engines.items():
        written = EVERYTHING["engines"][name]
        assert engine.url == f"https://{name}-engine-123456789012.asia-east1.run.app"
        assert engine.audience == written["audience"]
        assert (engine.timeout, engine.concurrency, engine.attempts, engine.batch_size) == (
            written["timeout_seconds"],
            written["concurrency"],
            written.get("attempts", 3),
            written.get("batch_size", 1),
        )
        assert (engine.patience, engine.per_minute) == (written["patience_seconds"], written["per_minute"])
    for highest in (
        "QA_ENGINE_CONCURRENCY",
        "QA_ENGINE_ATTEMPTS",
        *(f"FINANCIAL_ENGINE_{number}" for number in NUMBERS),
    ):
        _, faults = read_settings(given | {highest: str(int(given[highest]) + 1)})
        assert [fault.where for fault in faults] == [highest], "a plan refuses more than the job does"


def test_the_config_is_written_where_the_job_reads_it(everything: dict[str, Any]) -> None:
    objects = resources(everything, "google_storage_bucket_object").values()
    read, _ = read_settings(environment(everything))
    assert {f"gs://{one['bucket']}/{one['name'].rpartition('/')[0]}" for one in objects} == {read.config_uri}
    assert {one["name"].rpartition("/")[2] for one in objects} <= set(OBJECTS)


def test_a_mail_says_where_to_look_and_has_no_command(everything: dict[str, Any]) -> None:
    alerts = resources(everything, "google_monitoring_alert_policy").values()
    titled = {alert["display_name"].partition(": ")[2]: alert["documentation"][0]["content"] for alert in alerts}
    page = address_of("gs://my-project-batch-orchestrator-runs/runs", NIGHTS_PAGE)
    assert {title for title, text in titled.items() if f"he page of the nights]({page})" in text} == {
        "no success by the hour",
        "the message about a run was not sent",
        "a start failed, or a command was refused",
    }
    assert "If all work is done, or without a message, do not start the job again" in titled["the record is incomplete"]
    assert "nothing has to be started" in titled["an engine is out"]
    logs = r"\(https://console.cloud.google.com/logs/query;query=jsonPayload\.[^ )]+\?project=my-project\)"
    for title, text in titled.items():
        assert bool(re.search(logs, text)) is (title in {"an engine is out", "the record is incomplete"})
        assert "[Executions and logs](https://console.cloud.google.com/" in text
        assert "gcloud" not in text


# --- what waits for what ---


def test_every_resource_waits_for_its_api(everything: dict[str, Any]) -> None:
    """Directly, or through a resource that it depends on."""
    waits: dict[str, set[str]] = {}
    for one in everything["configuration"]["root_module"]["resources"]:
        if one["mode"] == "managed":
            text = str([one.get(part) for part in ("expressions", "for_each_expression", "depends_on")])
            waits[one["address"]] = set(re.findall(r"google_\w+\.\w+", text)) - {one["address"]}

    def waiting(apis: set[str]) -> set[str]:
        ready = set(apis)
        while more := {address for address, needs in waits.items() if needs & ready} - ready:
            ready |= more
        return ready

    run, others = "google_project_service.run", "google_project_service.main"
    assert waiting({run, others}) == set(waits)
    assert waiting({run}) >= {address for address in waits if address.startswith("google_cloud_run_")}


def test_the_apis_stay_enabled_after_a_destroy(everything: dict[str, Any]) -> None:
    apis = resources(everything, "google_project_service").values()
    assert {api["disable_on_destroy"] for api in apis} == {False}

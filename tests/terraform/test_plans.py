"""What a plan makes: grants against a table, environment against the job's settings, and what later applies change."""

import re
import shutil
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from job.engines import ALL_ENGINES
from job.settings import ATTEMPTS_DEFAULT, TIMEOUT_DEFAULT, read_settings
from terraform.guard import refusals
from tests.terraform.command import ROOT, Terraform
from tests.terraform.sample import EVERYTHING, LITTLE, NEXT_IMAGE, environment, resources

JOB, SCHEDULER, BUILD, REVIEW = (
    f"serviceAccount:batch-orchestrator-{name}@my-project.iam.gserviceaccount.com"
    for name in ("job", "scheduler", "build", "review")
)
OPERATORS = "group:cards@example.com"
CONFIG, RUNS = "my-project-batch-orchestrator-config", "my-project-batch-orchestrator-runs"

GRANTS = {
    *((JOB, "roles/run.invoker", f"{name}-project/{name}-engine") for name in ALL_ENGINES),
    (JOB, "roles/storage.objectViewer", CONFIG),
    (JOB, "roles/storage.objectUser", RUNS),
    (SCHEDULER, "roles/run.invoker", "my-project/batch-orchestrator"),
    (SCHEDULER, "roles/run.invoker", "my-project/batch-orchestrator-verify"),
    (OPERATORS, "roles/run.jobsExecutorWithOverrides", "my-project/batch-orchestrator"),
    (OPERATORS, "roles/storage.objectViewer", RUNS),
}
BUILD_GRANTS = {
    (BUILD, "roles/artifactregistry.writer", "my-project/batch-orchestrator"),
    (BUILD, "roles/iam.serviceAccountUser", f"projects/my-project/serviceAccounts/{JOB.partition(':')[2]}"),
    (BUILD, "roles/iam.serviceAccountUser", f"projects/my-project/serviceAccounts/{SCHEDULER.partition(':')[2]}"),
    (BUILD, "roles/run.developer", "my-project/batch-orchestrator"),
    (BUILD, "roles/run.developer", "my-project/batch-orchestrator-verify"),
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
    "serviceusage.services.get",
    "serviceusage.services.list",
    "storage.buckets.get",
    "storage.buckets.getIamPolicy",
}

BY_HAND = {"RUN_ID", "IMPERSONATE_SERVICE_ACCOUNT"}
PLATFORM = {"CLOUD_RUN_EXECUTION", "CLOUD_RUN_TASK_ATTEMPT", "CLOUD_RUN_TASK_COUNT"}
LIBRARIES = {"DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"}


@pytest.fixture(scope="module")
def first(terraform: Terraform, root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A root whose first plan has been applied, and that plan."""
    directory = Path(shutil.copytree(root, tmp_path_factory.mktemp("first") / "root"))
    plan = terraform.plan(directory, EVERYTHING)
    terraform.ask(directory, "apply", "-no-color", "test.tfplan")
    return directory, plan


@pytest.fixture(scope="module")
def everything(first: tuple[Path, dict[str, Any]]) -> dict[str, Any]:
    return first[1]


@pytest.fixture
def standing(first: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """A root of which everything is there, to be changed."""
    return Path(shutil.copytree(first[0], tmp_path / "root"))


# --- rights ---


def grants(plan: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Who may do what on what."""
    found = set()
    for address, values in resources(plan).items():
        if "_iam_" in address and not address.startswith("google_project_iam_custom_role."):
            assert "_iam_member." in address, f"{address} would take others' grants away"
            assert not values.get("condition"), f"{address} has a condition that this table does not show"
            on = values.get("bucket") or values.get("service_account_id") or values["project"]
            name = values.get("name") or values.get("repository")
            found.add((values["member"], values["role"], f"{on}/{name}" if name else on))
    return found


def test_the_grants_are_these_and_no_others(everything: dict[str, Any]) -> None:
    assert grants(everything) == GRANTS | BUILD_GRANTS


def test_the_custom_roles_hold_this_and_no_more(everything: dict[str, Any]) -> None:
    roles = resources(everything, "google_project_iam_custom_role").values()
    assert {role["role_id"]: set(role["permissions"]) for role in roles} == {
        "batch_orchestrator_refresh": REFRESHED,
        "batch_orchestrator_schedules": {f"cloudscheduler.jobs.{verb}" for verb in ("enable", "pause", "update")},
    }


def test_the_grants_without_a_build(terraform: Terraform, own_root: Path) -> None:
    assert grants(terraform.plan(own_root, EVERYTHING | {"build": None})) == GRANTS


def test_only_that_gives_rights(everything: dict[str, Any]) -> None:
    """No other kind of resource than these, so that none comes in unseen that gives rights in a way of its own."""
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


class Watched(dict[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return super().__getitem__(name)

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the job reads variables by their names")


def test_the_job_reads_what_terraform_sets(everything: dict[str, Any]) -> None:
    variables = Watched(environment(everything))
    _, faults = read_settings(variables, datetime.now(UTC))
    assert faults == []
    assert variables.asked - BY_HAND - PLATFORM == set(variables.keys()) - LIBRARIES
    assert variables.asked >= BY_HAND | PLATFORM, "they are read no more"


def test_the_job_understands_it(everything: dict[str, Any]) -> None:
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


def test_the_defaults_that_terraform_reckons_with_are_the_jobs() -> None:
    written = re.search(r"engine_defaults = \{\n(.*?)\n  \}", (ROOT / "engines.tf").read_text(), re.DOTALL)
    assert written
    # Each line is TOML as it stands, spaces aside.
    assert tomllib.loads(re.sub(r"^ +", "", written[1], flags=re.MULTILINE)) == {
        name: {"timeout_seconds": TIMEOUT_DEFAULT[name], "attempts": ATTEMPTS_DEFAULT} for name in ALL_ENGINES
    }


def test_the_verification_looks_at_the_same(everything: dict[str, Any]) -> None:
    assert environment(everything, "verify") == environment(everything)


# --- what waits for what ---


def test_every_resource_waits_for_its_api(everything: dict[str, Any]) -> None:
    """By itself, or through what it is made from."""
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


def test_the_apis_stay_on_when_this_goes(everything: dict[str, Any]) -> None:
    apis = resources(everything, "google_project_service").values()
    assert {api["service"].removesuffix(".googleapis.com") for api in apis if api["disable_on_destroy"] is False} == {
        *("artifactregistry", "cloudbuild", "cloudresourcemanager", "cloudscheduler", "containeranalysis", "iam"),
        *("logging", "monitoring", "run", "storage"),
    }


# --- later applies ---


def applied(terraform: Terraform, root: Path, variables: dict[str, Any]) -> dict[str, list[str]]:
    """Plans and applies; what changed, as far as anything did, by address."""
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
    """Changes every object, whatever a user has made of the sample, into as valid a one."""
    for path in config.iterdir():
        path.write_text(path.read_text() + "\n")


def test_a_second_plan_is_empty_and_a_new_image_changes_two_jobs(
    terraform: Terraform, everything: dict[str, Any], standing: Path
) -> None:
    assert set(map(tuple, changes(everything).values())) == {("create",)}
    assert changes(terraform.plan(standing, EVERYTHING)) == {}

    plan = terraform.plan(standing, EVERYTHING | {"image": NEXT_IMAGE})
    assert changes(plan) == {f'google_cloud_run_v2_job.main["{name}"]': ["update"] for name in ("run", "verify")}
    assert refusals(plan) == [], "a merge may ship it"


def test_a_merge_ships_schedule_and_config_but_no_grant(terraform: Terraform, standing: Path) -> None:
    edit(standing / "config")
    schedule = {"cron": "0 7 * * *", "time_zone": "Asia/Tokyo", "paused": True}
    plan = terraform.plan(standing, EVERYTHING | {"schedule": schedule})
    assert 'google_storage_bucket_object.owned["ticker_list.json"]' in changes(plan)
    assert 'google_cloud_scheduler_job.main["run"]' in changes(plan)
    assert refusals(plan) == []

    plan = terraform.plan(standing, EVERYTHING | {"operators": [OPERATORS, "user:me@example.com"]})
    assert {line.partition(":")[0] for line in refusals(plan)} == {
        f'{resource}["user'
        for resource in (
            "google_cloud_run_v2_job_iam_member.operators",
            "google_storage_bucket_iam_member.runs_operators",
        )
    }


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


def test_what_operators_edit_is_left_alone(terraform: Terraform, own_root: Path) -> None:
    theirs = LITTLE | {"config_ownership": "operators"}
    applied(terraform, own_root, theirs)
    edit(own_root / "config")
    assert changes(terraform.plan(own_root, theirs)) == {}


def test_a_late_bootstrap_destroys_nothing(terraform: Terraform, standing: Path) -> None:
    """Google's provider refuses to delete what is protected, and so does its stand-in."""
    before = terraform.ask(standing, "state", "list")
    terraform.plan(standing, EVERYTHING | {"image": None, "bootstrap": True})
    done = terraform.run(standing, "apply", "-no-color", "test.tfplan")
    assert done.returncode == 1
    assert "protected" in done.stderr
    assert terraform.ask(standing, "state", "list") == before


def test_away_in_two_applies(terraform: Terraform, standing: Path) -> None:
    assert terraform.run(standing, "destroy", "-no-color", "-auto-approve").returncode == 1, "it is protected"
    released = applied(terraform, standing, EVERYTHING | {"deletion_protection": False})
    assert set(map(tuple, released.values())) <= {("update",), ("create",)}
    terraform.ask(standing, "destroy", "-no-color", "-auto-approve")
    assert terraform.ask(standing, "state", "list") == ""

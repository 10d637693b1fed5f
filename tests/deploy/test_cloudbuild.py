"""What a merge and a pull request do: what the files say, and their scripts run with commands that only take notes."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from job import __version__

ROOT = Path(__file__).resolve().parents[2]
MERGE = ROOT / "cloudbuild.yaml"
REVIEW = ROOT / "terraform" / "review.cloudbuild.yaml"
COMMIT = "c0ffee" * 6 + "c0ff"
IMAGE = "asia-east1-docker.pkg.dev/p/cards/job"
DIGEST = f"{IMAGE}@sha256:{'0123456789abcdef' * 4}"
CONFIG = "gs://p-cards-config/config"
BEFORE = f"{IMAGE}@sha256:{'9876543210abcdef' * 4}"
GIVEN = {
    "_CHECK": "",
    "_IMAGE": IMAGE,
    "_JOBS": "cards cards-verify",
    "_SHIP_TO": CONFIG,
    "COMMIT_SHA": COMMIT,
    "LOCATION": "asia-east1",
    "PROJECT_ID": "p",
}

# The fields of Cloud Build that are in use here: a misspelt one is refused only when a build is started.
FIELDS = {"steps", "options", "substitutions", "timeout"}
STEP_FIELDS = {"id", "name", "timeout", "env", "script", "volumes"}

both = pytest.mark.parametrize("path", [MERGE, REVIEW], ids=["merge", "review"])


def load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


# --- what the files say ---


@both
def test_fields_and_time_limits(path: Path) -> None:
    build = load(path)
    assert set(build) <= FIELDS
    assert build["options"] == {"logging": "CLOUD_LOGGING_ONLY"}, "an account of one's own needs it"
    assert all(set(step) <= STEP_FIELDS for step in build["steps"])
    limits = [int(step["timeout"].removesuffix("s")) for step in build["steps"]]
    assert sum(limits) <= int(build["timeout"].removesuffix("s")), "a deployment could be cut off in its middle"


@both
def test_every_substitution_is_declared_and_used_and_set_by_a_trigger(path: Path) -> None:
    build = load(path)
    declared = build.pop("substitutions")
    env = " ".join(word for step in build["steps"] for word in step.get("env", []))
    assert {name for name in re.findall(r"\$(\w+)", env) if name.startswith("_")} == set(declared)
    assert not re.findall(r"\$\{?_", "".join(step["script"] for step in build["steps"])), "scripts are not substituted"
    trigger = (ROOT / "terraform/build.tf").read_text(encoding="utf-8")
    assert f'filename = "{path.relative_to(ROOT)}"' in trigger
    assert all(re.search(rf"\b{name} +=", trigger) for name in declared)


# --- what they do ---

NOTES = """#!/bin/sh
call="${0##*/} $*"
echo "$call" >>"$NOTES"
case $call in
"docker inspect"*) echo "$DIGESTS" ;;
"gcloud run jobs describe"*) echo "$BEFORE" ;;
"gcloud run jobs execute"*) echo "gcloud run jobs executions describe cards-x" ;;
esac
case $call in "$FAILS"*) exit 1 ;; esac
"""


def environment(step: dict[str, Any], substitutions: dict[str, str]) -> dict[str, str]:
    """What Cloud Build sets for a step: its `env`, with the substitutions in it."""
    pairs = (
        re.sub(r"\$(\w+)", lambda match: substitutions.get(match[1], ""), pair).partition("=")
        for pair in step.get("env", [])
    )
    return {name: text for name, _, text in pairs}


class Played(NamedTuple):
    """What became of a build."""

    failed: str | None
    """The step that failed, if one did."""
    calls: list[str]
    """Of commands."""
    said: str
    """What the last step printed."""


def play(path: Path, workspace: Path, *, fails: str = "nothing", digests: str = DIGEST, **given: str) -> Played:
    """Plays a build in a folder: each script really runs, and the commands in it only record their arguments."""
    tools, notes, source = (workspace / name for name in ("tools", "notes", "source"))
    tools.mkdir()
    for name in ("apt-get", "docker", "gcloud", "make", "terraform"):
        (tools / name).write_text(NOTES)
        (tools / name).chmod(0o755)
    shutil.copytree(ROOT / "terraform/config", source / "terraform/config")
    for name in ("terraform/deploy.sh", "job/__init__.py"):
        (source / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    shell = {"PATH": f"{tools}:{os.environ['PATH']}", "NOTES": str(notes), "BEFORE": BEFORE}
    shell |= {"FAILS": fails, "DIGESTS": digests}
    failed, said = None, ""
    for step in load(path)["steps"]:
        script = workspace / step["id"]
        script.write_text(step["script"].replace("/workspace", str(workspace)))
        script.chmod(0o755)
        variables = shell | environment(step, GIVEN | given)
        done = subprocess.run([script], cwd=source, env=variables, check=False, capture_output=True, text=True)
        said = done.stdout
        if done.returncode:
            failed = step["id"]
            break
    return Played(failed, notes.read_text().splitlines(), said)


TESTED = ["make emulator", "make config-check", "make lint", "make test"]


def test_a_merge_deploys_what_it_built_by_its_digest_and_ships_the_config(tmp_path: Path) -> None:
    failed, calls, _ = play(MERGE, tmp_path)
    assert failed is None
    tags = [f"{IMAGE}:{COMMIT}", f"{IMAGE}:latest", f"{IMAGE}:deployed"]
    stamp = f"--build-arg=VERSION={__version__} --build-arg=COMMIT={COMMIT}"
    looks = ("docker info", "docker inspect", "gcloud run jobs describe")
    assert [call for call in calls if not call.startswith(looks)] == [
        *TESTED,
        f"docker build --tag={' --tag='.join(tags)} {stamp} .",
        *(f"docker push {tag}" for tag in tags),
        *(
            f"gcloud run jobs update {job} --project=p --region=asia-east1 --image={DIGEST}"
            for job in ("cards", "cards-verify")
        ),
        f"gcloud storage cp terraform/config/ticker_list.json {CONFIG}/ticker_list.json",
        f"gcloud storage rsync terraform/config {CONFIG} --checksums-only --delete-unmatched-destination-objects",
    ]


def test_a_merge_leaves_a_config_alone_that_is_the_operators(tmp_path: Path) -> None:
    failed, calls, _ = play(MERGE, tmp_path, _SHIP_TO="")
    assert failed is None
    assert "make config-check" not in calls
    assert {call.split()[3] for call in calls if call.startswith("gcloud")} == {"describe", "update"}


@pytest.mark.parametrize(
    ("path", "fails", "step"),
    [
        (MERGE, "make config-check", "test"),
        (MERGE, "make lint", "test"),
        (MERGE, "docker build", "push"),
        (MERGE, "docker push", "push"),
        (MERGE, "gcloud run jobs update", "deploy"),
        (REVIEW, "make lint", "test"),
    ],
)
def test_nothing_is_done_after_a_failure(tmp_path: Path, path: Path, fails: str, step: str) -> None:
    failed, calls, _ = play(path, tmp_path, fails=fails)
    assert failed == step
    assert calls[-1].startswith(fails)


@pytest.mark.parametrize("fails", ["nothing", "gcloud run jobs execute"])
def test_a_merge_may_end_with_a_check_of_what_it_has_deployed(tmp_path: Path, fails: str) -> None:
    failed, calls, said = play(MERGE, tmp_path, fails=fails, _CHECK="yes")
    where = "--project=p --region=asia-east1"
    assert "storage rsync" in calls[-2]
    assert calls[-1] == f"gcloud run jobs execute cards {where} --args=check --wait"
    if fails == "nothing":
        assert failed is None
        return
    assert failed == "check"
    assert said.splitlines()[2:] == [
        "https://console.cloud.google.com/run/jobs/executions/details/asia-east1/cards-x/logs?project=p",
        f"Deployed in cards cards-verify: {DIGEST}",
        f"To go back to the image before: make deploy IMAGE={BEFORE.partition('@')[2]}",
    ]


@pytest.mark.parametrize("digests", ["", f"{IMAGE}:{COMMIT}", f"elsewhere/{DIGEST}"])
def test_nothing_but_a_digest_of_this_repository_is_deployed(tmp_path: Path, digests: str) -> None:
    failed, calls, _ = play(MERGE, tmp_path, digests=digests)
    assert failed == "push"
    assert not any(call.startswith("gcloud") for call in calls)


def test_a_pull_request_is_tested_and_nothing_else(tmp_path: Path) -> None:
    failed, calls, _ = play(REVIEW, tmp_path)
    assert failed is None
    assert calls[3].startswith("apt-get update")
    assert " install " in calls[4]
    assert " chromium " in calls[4]
    assert [*calls[:3], *calls[5:]] == [*TESTED[:3], "make .terraform-tests/ready", "make test-all"]

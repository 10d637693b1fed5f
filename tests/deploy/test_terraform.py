"""What can be said of terraform/ without Terraform."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from job.config.environment import read_settings
from tests.simulators.job import ROOT

TERRAFORM = ROOT / "terraform"
EXAMPLE = (TERRAFORM / "terraform.tfvars.example").read_text(encoding="utf-8")


def test_the_example_has_every_variable_with_its_default_in_a_comment() -> None:
    """That of variables.tf, and for an engine the job's own."""
    text = (TERRAFORM / "variables.tf").read_text(encoding="utf-8")
    variables = re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', text, re.MULTILINE | re.DOTALL)
    for name, body in variables:
        attributes = re.findall(r"^    (\w+) += (?:optional\(|string|list)", body, re.MULTILINE)
        assert re.search(rf"^(# )?{name} +=", EXAMPLE, re.MULTILINE), name
        assert [one for one in attributes if not re.search(rf"\b{one} += ", EXAMPLE)] == [], name
    defaults = {name: one for name, body in variables for one in re.findall(r"^  default += (.+)$", body, re.MULTILINE)}
    defaults |= dict(re.findall(r"^    (\w+) += optional\(\w+, (.+)\)$", text, re.MULTILINE))
    comments = "\n".join(line.partition("#")[2] for line in EXAMPLE.splitlines())
    commented = dict(re.findall(r'\b(\w+) += ("[^"]*"|\w+)', comments))
    held = {name: one for name, one in defaults.items() if one not in {"null", "{}"} and name != "paused"}
    assert {"branch", "egress", "force_destroy", "max_retries"} < held.keys()
    assert {name: commented.get(name) for name in held} == held


def test_what_the_example_says_of_an_engine_is_the_default() -> None:
    settings, _ = read_settings({})
    found = re.findall(r"^  (\w+) +=.*# , (.*)$", EXAMPLE, re.MULTILINE)
    shown = {
        (engine, name): int(value) for engine, comment in found for name, value in re.findall(r"(\w+) = (\d+)", comment)
    }
    numbers = {"attempts", "batch_size", "concurrency", "patience_seconds", "timeout_seconds"}
    assert {name for _, name in shown} == numbers
    for (engine, name), value in shown.items():
        assert getattr(settings.engines[engine], name.removesuffix("_seconds")) == value, f"{engine}: {name}"


NEEDS_STATE = ["plan", "apply", "deploy", "execute", "logs"]


def make(directory: Path, command: str, tfvars: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs our Makefile in a folder that has nothing but these settings of Terraform's."""
    (directory / "terraform").mkdir()
    (directory / "terraform" / "terraform.tfvars").write_text(tfvars)
    words = ["make", "--silent", f"--file={ROOT}/Makefile", *command.split()]
    environment = os.environ | variables
    return subprocess.run(words, cwd=directory, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        *(
            (f"{one} TERRAFORM=echo", "Terraform is not connected to its state here: run make init")
            for one in NEEDS_STATE
        ),
        *((f"{one} TERRAFORM=nope", "There is no nope here: install Terraform") for one in ("init", *NEEDS_STATE)),
        (
            "init TERRAFORM=echo",
            "Neither terraform/terraform.tfvars nor TF_VAR_project_id names a project: make the file from",
        ),
        ("emulator PATH=/nowhere", "There is no Go here: install it from https://go.dev/dl"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(command: str, sentence: str, tmp_path: Path) -> None:
    done = make(tmp_path, f"{command} ARGS=run,--again,NVDA")
    assert (done.returncode, done.stdout) == (2, "")
    said, *after = done.stderr.splitlines()
    assert said.startswith(sentence)
    assert [line[:9] for line in after] == ["make: ***"]


def test_every_target_uses_the_terraform_that_is_named(tmp_path: Path) -> None:
    for name in ("terraform", "other"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    words = ["make", "--dry-run", "lint", "init", *NEEDS_STATE, "TERRAFORM=other"]
    words.append("--old-file=terraform/.terraform/terraform.tfstate")  # as if it were there
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(words, cwd=ROOT, env=os.environ | path, capture_output=True, text=True, check=True)
    used = re.findall(r"(\w+) -chdir=terraform (\w+)", done.stdout)
    assert set(used) == {("other", name) for name in ("fmt", "validate", "init", "plan", "apply", "output")}


@pytest.mark.parametrize("name", ["project_id", "name"])
@pytest.mark.parametrize("command", ["init", *NEEDS_STATE])
def test_a_project_that_the_file_and_the_environment_name_differently_is_refused(
    name: str, command: str, tmp_path: Path
) -> None:
    file = 'project_id = "cards"\nname       = "cards"\n'
    done = make(tmp_path, f"{command} TERRAFORM=echo", file, **{f"TF_VAR_{name}": "other"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        f'terraform/terraform.tfvars says {name} = "cards", but the environment says TF_VAR_{name}=other: remove one'
    )


@pytest.mark.parametrize(
    ("file", "environment", "given", "bucket", "prefix"),
    [
        ('project_id = "cards"\n', {"TF_VAR_project_id": "cards"}, "", "cards-terraform", "batch-orchestrator"),
        ('project_id = "cards"\nname = "test"\n', {}, "", "cards-terraform", "test"),
        ('name = "test"\n', {"TF_VAR_project_id": "cards", "TF_VAR_name": "test"}, "", "cards-terraform", "test"),
        ("", {"TF_VAR_project_id": "cards", "TF_VAR_name": "test"}, "", "cards-terraform", "test"),
        ("", {"TF_VAR_project_id": "cards"}, "STATE_BUCKET=b STATE_PREFIX=p", "b", "p"),
        ("", {}, "STATE_BUCKET=b", "b", "batch-orchestrator"),
    ],
)
def test_the_state_is_that_of_the_project_and_the_name(
    file: str, environment: dict[str, str], given: str, bucket: str, prefix: str, tmp_path: Path
) -> None:
    done = make(tmp_path, f"init TERRAFORM=echo {given}", file, **environment)
    assert done.stdout == f"-chdir=terraform init -backend-config=bucket={bucket} -backend-config=prefix={prefix}\n"


def test_the_job_is_started_as_the_image_would_start_it() -> None:
    """A command drops the image's CMD."""
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    entrypoint, command = (
        json.loads(re.findall(rf"^{word} (\[.*\])$", dockerfile, re.MULTILINE)[0]) for word in ("ENTRYPOINT", "CMD")
    )
    job = (TERRAFORM / "job.tf").read_text(encoding="utf-8")
    said = [json.loads(found) for found in re.findall(r"^ +(?:args|command) += (\[.*\])$", job, re.MULTILINE)]
    assert said == [command, ["verify"], entrypoint]


def test_the_alerts_look_for_what_the_log_has() -> None:
    alerts = (TERRAFORM / "alerts.tf").read_text(encoding="utf-8")
    named = re.findall(r'jsonPayload\.event = \\"([a-z.]+)\\"(?: AND jsonPayload\.(\w+) >)?', alerts)
    assert {event for event, _ in named} == {"engine.failing", "notification.failed", "run.finished"}
    shape = (ROOT / "tests/records/format-2.txt").read_text(encoding="utf-8").splitlines()
    assert [
        f"log {event} {field or 'day'}" for event, field in named if f"log {event} {field or 'day'}" not in shape
    ] == []

"""The steps of terraform/README.md, played: Terraform is real; `gcloud` and `docker` only note what they are asked."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pytest

from tests.deploy.terraform.command import PROJECT, ROOT, Terraform

pytestmark = [pytest.mark.slow, pytest.mark.needs("terraform")]

IMAGE = "asia-east1-docker.pkg.dev/my-project/batch-orchestrator/job"
DIGEST = f"{IMAGE}@sha256:{'0' * 64}"
COMMANDS = {
    "gcloud": f"""echo gcloud "$@" >> notes
case "$*" in *describe*) echo {DIGEST} ;; *submit*) (cat; echo) >> notes ;; esac""",
    "docker": 'echo docker "$@" >> notes; [ -z "$NO_DOCKER" ]',
    "git": "echo c0ffee",
}
WITHOUT_A_BUCKET = """for word; do
  shift
  case $word in -backend-config=*) echo "$word" >> notes ;; *) set -- "$@" "$word" ;; esac
done
"""


@dataclass
class Checkout:
    """A copy of the project whose state is a file."""

    directory: Path
    terraform: Terraform

    def run(self, script: str, **environment: str) -> str:
        """What the script printed. Fails the test if it failed."""
        approve = {"TF_CLI_ARGS_apply": "-auto-approve -no-color", "NO_DOCKER": ""}
        path = {"PATH": f"{self.directory}/commands:{self.terraform.environment['PATH']}"}
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=self.directory,
            env=self.terraform.environment
            | path
            | approve
            | {"MAKEFLAGS": f"BIN={Path(sys.executable).parent}"}
            | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def notes(self) -> list[str]:
        """What was asked since this was last looked at."""
        file = self.directory / "notes"
        lines = file.read_text().splitlines()
        file.write_text("")
        return lines


@pytest.fixture
def checkout(terraform: Terraform, tmp_path: Path) -> Checkout:
    directory = tmp_path / "checkout"
    root = terraform.copy(directory / "terraform")
    shutil.rmtree(root / ".terraform")
    for name in ("Makefile", ".locks/dev.txt", "job", "terraform/terraform.tfvars.example"):
        (directory / name).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, directory / name)
    for name in (".venv", "commands"):
        (directory / name).mkdir()
    (directory / ".venv" / "ready").touch()
    commands = COMMANDS | {"terraform": WITHOUT_A_BUCKET + f'exec {" ".join(terraform.command)} "$@"'}
    for name, script in commands.items():
        (directory / "commands" / name).write_text(f"#!/bin/sh\n{script}\n")
        (directory / "commands" / name).chmod(0o755)
    return Checkout(directory, terraform)


def paused(root: Path) -> dict[str, bool]:
    """Whether the schedules are, by the names of their jobs."""
    resources = json.loads((root / "terraform.tfstate").read_text())["resources"]
    schedules = [one["instances"] for one in resources if one["type"] == "google_cloud_scheduler_job"]
    return {one["attributes"]["name"]: one["attributes"]["paused"] for one in chain(*schedules)}


def test_the_nine_steps_lead_to_a_schedule(checkout: Checkout) -> None:
    section = (ROOT / "README.md").read_text().partition("\n## From nothing")[2].partition("\nCommit ")[0]
    steps = re.findall(r"^\d\. \*\*.*?(?=^\d\. |\Z)", section, re.MULTILINE | re.DOTALL)
    scripts = ["\n".join(map(textwrap.dedent, re.findall(r"```sh\n(.*?)```", step, re.DOTALL))) for step in steps]
    assert len(scripts) == 9
    root = checkout.directory / "terraform"
    whole = {path.name: path.read_text() for path in (root / "config").iterdir()}
    begun = checkout.run("\n".join(scripts[:7]))
    assert "python -m job plan terraform/config" in begun
    assert "QA engine: 2 cards, 2 calls" in begun, "of one ticker"
    assert "make apply" in begun.partition("Pushed.")[2]
    assert "so nobody is told" in begun
    asked = checkout.notes
    assert asked.index("-backend-config=bucket=my-project-terraform") < asked.index(f"docker push {IMAGE}:latest")
    assert "-backend-config=prefix=batch-orchestrator" in asked
    assert f"docker push {IMAGE}:c0ffee" in asked
    where = "batch-orchestrator --region=asia-east1 --project=my-project"
    assert asked[-1] == f"gcloud run jobs execute {where} --wait"
    assert "No changes." in checkout.run("make apply")
    assert paused(root) == {"batch-orchestrator": True}

    settings = (root / "terraform.tfvars").read_text()  # by hand, as the last two steps say
    (root / "terraform.tfvars").write_text(re.sub(r"\n +paused .*", "", settings).replace("\n# alerts =", "\nalerts ="))
    ended = checkout.run("export PROJECT=my-project\n" + "\n".join(scripts[7:]))
    assert "told" not in ended
    assert {path.name: path.read_text() for path in (root / "config").iterdir()} == whole
    assert paused(root) == {"batch-orchestrator": False, "batch-orchestrator-verify": False}
    assert "No changes." in checkout.run("make apply")

    later = checkout.run("make push; make logs; make execute ARGS=report,--missing")
    assert f"deploys it:\ngcloud run jobs update {where} --image={DIGEST}\n" in later
    assert checkout.notes[-2:] == [
        f"gcloud beta run jobs logs tail {where}",
        f"gcloud run jobs execute {where} --wait --args=report,--missing",
    ]


def test_without_docker_cloud_build_builds_the_image(checkout: Checkout) -> None:
    checkout.run(
        "cp terraform/terraform.tfvars.example terraform/terraform.tfvars; make init; make push", NO_DOCKER="1"
    )
    *_, submitted, config, described = checkout.notes
    assert submitted == "gcloud builds submit --project=my-project --region=asia-east1 --config=/dev/stdin ."
    assert f'"script": "docker build --tag={IMAGE}:c0ffee --tag={IMAGE}:latest ' in config
    assert f'"images": ["{IMAGE}:c0ffee", "{IMAGE}:latest"]' in config
    assert described.startswith(f"gcloud artifacts docker images describe {IMAGE}:latest")


def test_a_second_environment_in_the_same_project_has_a_state_of_its_own(checkout: Checkout) -> None:
    checkout.run(
        "sed '$aname = \"cards-test\"' terraform/terraform.tfvars.example > terraform/terraform.tfvars; make init"
    )
    assert checkout.notes == ["-backend-config=bucket=my-project-terraform", "-backend-config=prefix=cards-test"]

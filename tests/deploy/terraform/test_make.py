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

from job import __version__
from tests.deploy.terraform.command import COMMAND, PROJECT, ROOT, Terraform

pytestmark = [pytest.mark.slow, pytest.mark.needs("terraform")]

IMAGE = "asia-east1-docker.pkg.dev/my-project/batch-orchestrator/job"
DIGEST = f"{IMAGE}@sha256:{'0' * 64}"
COMMANDS = {
    # The image of a job is a file with its name.
    "gcloud": f"""echo gcloud "$@" >> notes
case "$*" in
*"images describe"*) echo {DIGEST} ;;
*"jobs describe"*) cat "$4" 2>/dev/null || echo us-docker.pkg.dev/cloudrun/container/job ;;
*"jobs update"*) echo "${{7#--image=}}" > "$4" ;;
*submit*) (cat; echo) >> notes ;;
esac""",
    "docker": f"""[ -z "$NO_DOCKER" ] || exit 1
echo docker "$@" >> notes
case "$*" in inspect*) echo {DIGEST} ;; esac""",
    "git": "echo c0ffee",
}
LOOKS = re.compile(" (info|inspect|describe)\\b")

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
        ours = self.terraform.environment
        path = {"PATH": f"{self.directory}/commands:{ours['PATH']}", "MAKEFLAGS": f"BIN={Path(sys.executable).parent}"}
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=self.directory,
            env=ours | path | approve | environment,
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
    commands = COMMANDS | {"terraform": WITHOUT_A_BUCKET + f'exec {" ".join(COMMAND)} "$@"'}
    for name, script in commands.items():
        (directory / "commands" / name).write_text(f"#!/bin/sh\n{script}\n")
        (directory / "commands" / name).chmod(0o755)
    return Checkout(directory, terraform)


def paused(root: Path) -> dict[str, bool]:
    """Whether the schedules are, by the names of their jobs."""
    resources = json.loads((root / "terraform.tfstate").read_text())["resources"]
    schedules = [one["instances"] for one in resources if one["type"] == "google_cloud_scheduler_job"]
    return {one["attributes"]["name"]: one["attributes"]["paused"] for one in chain(*schedules)}


def test_the_steps_lead_to_a_schedule(checkout: Checkout) -> None:
    section = (ROOT / "README.md").read_text().partition("\n## From nothing")[2].partition("\nCommit ")[0]
    steps = re.findall(r"^\d\. \*\*.*?(?=^\d\. |\Z)", section, re.MULTILINE | re.DOTALL)
    scripts = ["\n".join(map(textwrap.dedent, re.findall(r"```sh\n(.*?)```", step, re.DOTALL))) for step in steps]
    assert len(scripts) == 8
    root = checkout.directory / "terraform"
    whole = {path.name: path.read_text() for path in (root / "config").iterdir()}
    begun = checkout.run("\n".join(scripts[:4]))
    assert "python -m job plan terraform/config" in begun
    assert "QA engine: 2 cards, 2 calls" in begun, "of one ticker"
    assert "so nobody is told" in begun
    assert "No image is deployed yet, so no start can succeed: run make deploy." in begun
    asked = checkout.notes
    assert [word for word in asked if word.startswith("-backend")] == [
        "-backend-config=bucket=my-project-terraform",
        "-backend-config=prefix=batch-orchestrator",
    ]
    assert not any("docker" in word or " update " in word for word in asked[-2:])

    deployed = checkout.run("export PROJECT=my-project REGION=asia-east1\n" + "\n".join(scripts[4:6]))
    assert f"Deployed in batch-orchestrator: {DIGEST}\n" in deployed
    assert "go back" not in deployed
    job = "batch-orchestrator --project=my-project --region=asia-east1"
    tags = " ".join(f"--tag={IMAGE}:{tag}" for tag in ("c0ffee", "latest", "deployed"))
    execute = "gcloud run jobs execute batch-orchestrator --region=asia-east1 --project=my-project --wait"
    assert [word for word in checkout.notes if not LOOKS.search(word)] == [
        "gcloud auth configure-docker asia-east1-docker.pkg.dev",
        f"docker build {tags} --build-arg=VERSION={__version__} --build-arg=COMMIT=c0ffee .",
        *(f"docker push {IMAGE}:{tag}" for tag in ("c0ffee", "latest", "deployed")),
        f"gcloud run jobs update {job} --image={DIGEST}",
        execute,
    ]
    assert "No changes." in checkout.run("make apply")
    assert paused(root) == {"batch-orchestrator": True}

    settings = (root / "terraform.tfvars").read_text()  # by hand, as the last two steps say
    (root / "terraform.tfvars").write_text(re.sub(r"\n +paused .*", "", settings).replace("\n# alerts =", "\nalerts ="))
    ended = checkout.run("export PROJECT=my-project\n" + "\n".join(scripts[6:]))
    assert "told" not in ended
    assert f"Deployed in batch-orchestrator-verify: {DIGEST}\n" in ended, "a new job has no image of its own"
    assert {path.name: path.read_text() for path in (root / "config").iterdir()} == whole
    assert paused(root) == {"batch-orchestrator": False, "batch-orchestrator-verify": False}
    assert "No changes." in checkout.run("make apply")
    checkout.run("make logs; make execute ARGS=report,--missing")
    assert checkout.notes[-2:] == [
        "gcloud beta run jobs logs tail batch-orchestrator --region=asia-east1 --project=my-project",
        f"{execute} --args=report,--missing",
    ]


FILE = "cp terraform/terraform.tfvars.example terraform/terraform.tfvars"
DEPLOYED = f"{FILE}; make init; make apply; make deploy"


def test_nothing_is_deployed_before_there_is_a_job(checkout: Checkout) -> None:
    with pytest.raises(AssertionError, match="There is no job yet to deploy to: run make apply first"):
        checkout.run(f"{FILE}; make init; make deploy")
    assert [word for word in checkout.notes if not word.startswith("-backend")] == []


@pytest.mark.parametrize("no_docker", ["", "1"])
def test_going_back_builds_nothing_and_moves_the_tag(checkout: Checkout, no_docker: str) -> None:
    checkout.run(DEPLOYED)
    _ = checkout.notes
    digest = f"sha256:{'1' * 64}"
    said = checkout.run(f"make deploy IMAGE={digest}", NO_DOCKER=no_docker)
    pull = f"docker pull {IMAGE}@{digest}"
    tag = f"docker tag {IMAGE}@{digest} {IMAGE}:deployed"
    done = [word for word in checkout.notes if not LOOKS.search(word)]
    if no_docker:
        assert done[0] == (
            "gcloud builds submit --project=my-project --region=asia-east1 --config=/dev/stdin --no-source"
        )
        assert json.loads(done[1]) == {
            "steps": [{"name": "gcr.io/cloud-builders/docker", "script": f"{pull} && {tag}"}],
            "images": [f"{IMAGE}:deployed"],
        }
    else:
        assert done[:3] == [pull, tag, f"docker push {IMAGE}:deployed"]
    assert done[-1].startswith("gcloud run jobs update batch-orchestrator ")
    assert done[-1].endswith(f" --image={IMAGE}@{digest}")
    assert f"To go back to the image before: make deploy IMAGE={DIGEST.partition('@')[2]}" in said
    for wrong in ("latest", "sha256:1", f"{digest}0"):
        with pytest.raises(AssertionError, match="is not the digest of an image"):
            checkout.run(f"make deploy IMAGE={wrong}")
    assert not any("update" in word for word in checkout.notes)


def test_without_docker_cloud_build_builds_the_image(checkout: Checkout) -> None:
    checkout.run(DEPLOYED, NO_DOCKER="1")
    asked = checkout.notes
    submitted = asked.index("gcloud builds submit --project=my-project --region=asia-east1 --config=/dev/stdin .")
    build = json.loads(asked[submitted + 1])
    assert build["steps"][0]["script"].startswith(f"docker build --tag={IMAGE}:c0ffee --tag={IMAGE}:latest ")
    assert build["images"] == [f"{IMAGE}:{tag}" for tag in ("c0ffee", "latest", "deployed")]
    assert asked[submitted + 2].startswith(f"gcloud artifacts docker images describe {IMAGE}:c0ffee")

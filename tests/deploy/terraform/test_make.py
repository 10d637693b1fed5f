"""The make targets that work on Google Cloud do what they promise; a stand-in takes the place of Google."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.terraform.command import PROJECT, TESTS, Terraform
from tests.deploy.terraform.sample import IMAGE, LITTLE, NEXT_IMAGE
from tests.simulators.job import ROOT


@dataclass
class Checkout:
    """A copy of the project, in which `terraform` is the tests' and `gcloud` only says what it was asked."""

    directory: Path
    terraform: Terraform

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs make there, without a terminal."""
        environment = self.terraform.environment | {f"TF_CLI_ARGS_{name}": "-no-color" for name in ("plan", "apply")}
        return subprocess.run(
            ["make", "--no-print-directory", f"BIN={Path(sys.executable).parent}", *arguments],
            cwd=self.directory,
            env=environment | {"PATH": f"{self.directory}/commands:{environment['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def deployed(self) -> str:
        """The image of the job in Terraform's state."""
        shown = self.terraform.ask(
            self.directory / "terraform", "state", "show", "-no-color", 'google_cloud_run_v2_job.main["run"]'
        )
        (image,) = re.findall(r' image += "(.*)"', shown)
        return str(image)


def sentences(text: str) -> str:
    """The text without the line breaks and the frame that Terraform adds."""
    return re.sub(r"[\s│]+", " ", text)


@pytest.fixture
def checkout(terraform: Terraform, tmp_path: Path) -> Checkout:
    directory = tmp_path / "checkout"
    root = terraform.copy(directory / "terraform")
    terraform.variables(root, {name: value for name, value in LITTLE.items() if name != "image"})
    for name in ("Makefile", ".locks/dev.txt", "job"):
        (directory / name).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, directory / name)
    (directory / ".venv").mkdir()
    (directory / ".venv" / "ready").touch()
    commands = {"terraform": f'exec {" ".join(terraform.command)} "$@"', "gcloud": 'echo gcloud "$@"'}
    (directory / "commands").mkdir()
    for name, script in commands.items():
        (directory / "commands" / name).write_text(f"#!/bin/sh\n{script}\n")
        (directory / "commands" / name).chmod(0o755)
    return Checkout(directory, terraform)


FAULT = 'ticker_list.json: [0] (7): is a number; write the whole ticker in quotes, such as "0700.HK"'


def corrupt_config(checkout: Checkout) -> None:
    (checkout.directory / "terraform" / "config" / "ticker_list.json").write_text("[7]")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variable", "goes_on"),
    [
        ("CONFIG_OWNERSHIP=terraform", False),
        ("CONFIG_OWNERSHIP=operators", True),
        ("CONFIG_OWNERSHIP=", False),  # a trigger that does not know it yet
        ("CONFIG_FAULTS=warn", True),
    ],
)
def test_a_fault_of_the_config_stops_make_only_if_terraform_owns_the_config(
    checkout: Checkout, variable: str, goes_on: bool
) -> None:
    assert checkout.make("config-check", variable).stderr == ""
    corrupt_config(checkout)
    done = checkout.make("config-check", variable)
    assert (done.returncode == 0) is goes_on
    assert done.stderr.splitlines()[:2] == [
        FAULT,
        ("Warning" if goes_on else "Stopped")
        + ": terraform/config/ has not passed this check."
        + (" Going on all the same." if goes_on else ""),
    ]


@pytest.mark.parametrize("target", ["plan", pytest.param("apply", marks=pytest.mark.slow)])
def test_a_fault_of_the_config_stops_make_before_terraform_starts(checkout: Checkout, target: str) -> None:
    """Before the first apply it is not known who owns the config."""
    corrupt_config(checkout)
    done = checkout.make(target, "BOOTSTRAP=1", "APPROVE=1")
    assert done.returncode != 0
    assert FAULT in done.stderr
    assert "Terraform" not in done.stdout + done.stderr


OF_A_DEPLOYED_JOB = ["image", "push", "execute", "logs", "rollback", "config-diff", "config-pull"]


@pytest.mark.slow
def test_before_init_and_before_the_first_apply_one_line_says_what_comes_first(checkout: Checkout) -> None:
    for target in OF_A_DEPLOYED_JOB:
        assert stopped(checkout, target) == "Stopped: Terraform has no outputs yet; run `make apply` first."
    shutil.rmtree(checkout.directory / "terraform" / ".terraform")
    for target in ["plan", "apply", *OF_A_DEPLOYED_JOB]:
        assert stopped(checkout, target) == "Stopped: run `make init` first."
    for needs_no_terraform in (["config-check"], ["config-diff", "CONFIG_URI=terraform/config"]):
        assert checkout.make(*needs_no_terraform).returncode == 0


def stopped(checkout: Checkout, target: str) -> str:
    """The line that says why this target stopped; make's own lines follow it, and nothing else does."""
    done = checkout.make(target)
    assert (done.returncode, done.stdout) == (2, "")
    first, *rest = done.stderr.splitlines()
    assert all(line.startswith("make") for line in rest)
    return first


def test_the_reason_why_terraform_cannot_read_its_state_is_shown(checkout: Checkout) -> None:
    (checkout.directory / "terraform" / "terraform.tfstate").write_text("no state")
    done = checkout.make("push")
    assert done.returncode == 2
    assert "Error" in done.stderr
    assert "Stopped" not in done.stderr
    assert "docker" not in done.stdout


@pytest.mark.slow
def test_a_rollback_goes_on_with_a_faulty_config_and_an_apply_does_not(checkout: Checkout) -> None:
    assert checkout.make("apply", "BOOTSTRAP=1", "APPROVE=1").returncode == 0
    assert checkout.make("apply", f"IMAGE={NEXT_IMAGE}", "APPROVE=1").returncode == 0
    for content in ("[7]", '["AAPL",]'):
        (checkout.directory / "terraform" / "config" / "ticker_list.json").write_text(content)
        stopped = checkout.make("apply", f"IMAGE={IMAGE}", "APPROVE=1", "OVERWRITE=1")
        assert stopped.returncode != 0
        assert "Stopped: terraform/config/" in stopped.stderr
        assert checkout.deployed == NEXT_IMAGE

    done = checkout.make("rollback", f"IMAGE={IMAGE}", "APPROVE=1", "OVERWRITE=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning: terraform/config/" in done.stderr
    assert checkout.deployed == IMAGE


@pytest.mark.slow
def test_a_faulty_config_stops_no_target_if_operators_own_the_config(checkout: Checkout) -> None:
    variables = {name: value for name, value in LITTLE.items() if name != "image"} | {"config_ownership": "operators"}
    checkout.terraform.variables(checkout.directory / "terraform", variables)
    assert checkout.make("apply", "BOOTSTRAP=1", "APPROVE=1").returncode == 0
    corrupt_config(checkout)
    done = checkout.make("apply", f"IMAGE={IMAGE}", "APPROVE=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert FAULT in done.stderr
    assert checkout.deployed == IMAGE


@pytest.mark.slow
def test_a_first_apply_an_update_and_a_rollback(checkout: Checkout) -> None:
    forgotten = checkout.make("apply", "APPROVE=1")
    assert forgotten.returncode != 0
    assert "make apply BOOTSTRAP=1" in sentences(forgotten.stderr)

    first = checkout.make("apply", "BOOTSTRAP=1", "APPROVE=1")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "make push" in first.stdout

    shipped = checkout.make("apply", f"IMAGE={IMAGE}", "APPROVE=1")
    assert shipped.returncode == 0, shipped.stdout + shipped.stderr
    assert checkout.deployed == IMAGE

    again = checkout.make("apply", "APPROVE=1")
    assert "No changes." in again.stdout, again.stderr
    late = checkout.make("apply", "BOOTSTRAP=1", "APPROVE=1")
    assert late.returncode != 0
    assert "bootstrap: is for the very first apply" in sentences(late.stderr)

    unapproved = checkout.make("apply", f"IMAGE={NEXT_IMAGE}")
    assert unapproved.returncode != 0
    assert checkout.deployed == IMAGE

    other = checkout.make("rollback", f"IMAGE={NEXT_IMAGE}", "APPROVE=1")
    assert other.returncode == 0, other.stdout + other.stderr
    assert checkout.deployed == NEXT_IMAGE

    flags = "batch-orchestrator --project=my-project --region=asia-east1"
    assert f"gcloud run jobs execute {flags} --wait\n" in checkout.make("execute").stdout
    assert (
        f"gcloud run jobs execute {flags} --wait --args=resume,night-1\n"
        in checkout.make("execute", "ARGS=resume,night-1").stdout
    )
    assert f"gcloud beta run jobs logs tail {flags}\n" in checkout.make("logs").stdout
    assert f"gcloud artifacts docker tags list {IMAGE.partition('@')[0]} " in checkout.make("rollback").stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_root_passes_googles_rules_of_checkov() -> None:
    done = subprocess.run(["make", "check-terraform"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Passed checks: [1-9]\d*, Failed checks: 0, Skipped checks: 4\n", done.stdout)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_checkov_finds_what_is_wrong(own_root: Path) -> None:
    runs = own_root / "runs.tf"
    runs.write_text(runs.read_text().replace('"enforced"', '"inherited"'))
    subprocess.run(["make", ".checkov/ready"], cwd=PROJECT, check=True)
    words = [
        "--directory",
        str(own_root),
        "--framework",
        "terraform",
        "--skip-path",
        TESTS,
        "--skip-download",
        "--compact",
    ]
    done = subprocess.run([PROJECT / ".checkov/bin/checkov", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "CKV_GCP_114" in done.stdout


def test_make_apply_runs_the_guard_of_the_config_between_plan_and_apply() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\napply: plan ")[2].partition("\n\n")[0]
    assert 0 < recipe.index("config-guard") < recipe.index("$(IN_ROOT) apply")


def test_every_target_uses_the_terraform_and_the_workspace_that_are_named(tmp_path: Path) -> None:
    """Dry, as far as it goes: what make has to know beforehand it asks for."""
    asked = tmp_path / "asked"
    for name in ("terraform", "other"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho \"TF_WORKSPACE='$TF_WORKSPACE' {name} $@\" >> {asked}\n")
        (tmp_path / name).chmod(0o755)
    targets = ["init", "plan", "apply", "rollback", "execute", "logs", "push", "config-pull", "config-diff"]
    words = ["make", "--dry-run", "--always-make", *targets, "TERRAFORM=other", "TF_WORKSPACE=test"]
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(words, cwd=PROJECT, env=os.environ | path, capture_output=True, text=True, check=True)
    used = re.findall(r"(\S*) (terraform|other) -chdir=terraform (\w+)", done.stdout + asked.read_text())
    assert {words[1:] for words in used} == {("other", name) for name in ("init", "plan", "apply", "show", "output")}
    assert all(words[0].endswith("TF_WORKSPACE='test'") for words in used)
    assert set(re.findall(r" plan (-var-file=\S+)", done.stdout)) == {"-var-file='test.tfvars'"}


def test_an_image_is_built_for_the_machines_that_run_it() -> None:
    """Cloud Run runs only amd64, and would refuse an image for a Mac's own processor."""
    words = ["make", "--dry-run", "image", "IMAGE_NAME=an/image"]
    printed = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert "docker build --platform linux/amd64 --tag an/image:deployed-" in printed


def test_a_virtual_environment_that_is_a_link_is_not_emptied(tmp_path: Path) -> None:
    for name in ("Makefile", "tests/tools/environment.py", ".locks/dev.txt", "elsewhere/bin"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copy(ROOT / name, tmp_path / name) if (ROOT / name).exists() else (tmp_path / name).touch())
    (tmp_path / ".venv").symlink_to("elsewhere")
    command = ["make", f"PYTHON={sys.executable}", ".venv/ready"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("Stopped: .venv is a link")

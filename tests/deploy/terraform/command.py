"""Runs Terraform on copies of the root, with the stand-in as its provider."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tests.deploy.terraform.sample import CONFIG

PROJECT = Path(__file__).parents[3]
ROOT = PROJECT / "terraform"
EMBEDDED = (sys.executable, "-m", "tests.deploy.terraform.embedded")
TESTS = "plan_tests"
"""The folder of the root's own tests; nothing reads it that is not told to, as only Terraform understands them."""
_LEAST = (1, 11)


def installed() -> Sequence[str]:
    """Terraform from the PATH if it is new enough, else the one that comes as a library."""
    if path := shutil.which("terraform"):
        printed = subprocess.run([path, "version"], capture_output=True, text=True, check=True).stdout
        version = re.match(r"Terraform v(\d+)\.(\d+)", printed)
        if version and tuple(map(int, version.groups())) >= _LEAST:
            return (path,)
    return EMBEDDED


@dataclass(frozen=True)
class Terraform:
    """A Terraform, and the provider that it attaches to."""

    command: Sequence[str]
    providers: str
    """The value of TF_REATTACH_PROVIDERS."""
    home: Path
    """A directory of its own, for what Terraform keeps about its user."""
    workspace: str = "default"

    @property
    def environment(self) -> dict[str, str]:
        """The caller's, without the variables that Terraform itself reads."""
        settings = self.home / "terraform.rc"
        settings.touch()
        return {name: value for name, value in os.environ.items() if not name.startswith("TF_")} | {
            "CHECKPOINT_DISABLE": "1",
            "HOME": str(self.home),
            "PYTHONPATH": str(PROJECT),
            "TF_CLI_CONFIG_FILE": str(settings),
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
            "TF_REATTACH_PROVIDERS": self.providers,
            "TF_WORKSPACE": self.workspace,
        }

    def run(self, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What it printed and its exit code, whatever that is."""
        words = [*self.command, *arguments]
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

    def variables(self, directory: Path, values: dict[str, Any]) -> None:
        """Sets these variables, and no others, for every later command there."""
        (directory / "test.auto.tfvars.json").write_text(json.dumps(values))

    def plan(self, directory: Path, variables: dict[str, Any]) -> dict[str, Any]:
        """The plan as `terraform show -json` prints it; it stays in `test.tfplan` to be applied."""
        self.variables(directory, variables)
        self.ask(directory, "plan", "-no-color", "-out=test.tfplan")
        plan: dict[str, Any] = json.loads(self.ask(directory, "show", "-json", "test.tfplan"))
        return plan


def _not_ours(directory: str, names: list[str]) -> set[str]:
    """What a user or Terraform has beside the root; `plan_tests/` has values of its own."""
    patterns = [".terraform*", "*.tfstate*", "*.tfplan", "backend.hcl"]
    patterns += ["*.tfvars", "*.tfvars.json"] if Path(directory) == ROOT else []
    return {name for name in names if any(fnmatch(name, pattern) for pattern in patterns)}

"""The real Terraform finds the root formatted, and its own tests pass."""

import re
from pathlib import Path

import pytest

from tests.deploy.terraform.command import ROOT, TESTS, Terraform, commands
from tests.deploy.terraform.sample import LITTLE

pytestmark = [pytest.mark.slow, pytest.mark.needs("terraform")]


def test_it_is_formatted(terraform: Terraform) -> None:
    assert terraform.ask(ROOT, "fmt", "-check", "-recursive", "-diff") == ""


def test_the_example_is_formatted_and_enough_for_a_plan(terraform: Terraform, own_root: Path) -> None:
    (own_root / "terraform.tfvars").write_text((ROOT / "terraform.tfvars.example").read_text())
    assert terraform.ask(own_root, "fmt", "-check", "-diff", "terraform.tfvars") == ""
    assert terraform.plan(own_root, {})["complete"]


def test_its_own_tests_pass(terraform: Terraform, root: Path) -> None:
    done = terraform.test(root)
    written = sum(len(re.findall('^run "', path.read_text(), re.MULTILINE)) for path in (ROOT / TESTS).glob("*.hcl"))
    assert f"Success! {written} passed, 0 failed." in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("name", commands())
def test_with_an_installed_terraform_and_without(name: str, terraform: Terraform, tmp_path: Path) -> None:
    one = Terraform(commands()[name], terraform.providers, tmp_path)
    root = one.copy(tmp_path / "root")
    assert "Success! 2 passed" in one.test(root, f"-filter={TESTS}/build.tftest.hcl").stdout
    assert one.plan(root, LITTLE)["complete"]

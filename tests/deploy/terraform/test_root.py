"""The real Terraform finds the root formatted, and its own tests pass."""

import json
import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.deploy.terraform.command import ROOT, TESTS, Terraform

pytestmark = [pytest.mark.slow, pytest.mark.needs("terraform")]


def test_it_is_formatted_and_so_is_the_example(terraform: Terraform, own_root: Path) -> None:
    (own_root / "terraform.tfvars").write_text((ROOT / "terraform.tfvars.example").read_text())
    assert terraform.ask(own_root, "fmt", "-check", "-recursive", "-diff") == ""


def test_its_own_tests_pass(terraform: Terraform, root: Path) -> None:
    done = terraform.test(root)
    written = sum(len(re.findall('^run "', path.read_text(), re.MULTILINE)) for path in (ROOT / TESTS).glob("*.hcl"))
    assert f"Success! {written} passed, 0 failed." in done.stdout, done.stdout + done.stderr


def test_a_setting_is_refused_in_these_words_or_accepted(terraform: Terraform, own_root: Path) -> None:
    """A file for each: after a run that is refused, Terraform would skip the others of its file."""
    tests = own_root / TESTS
    rows = re.findall(r"^(\w.*)\n((?:  .*\n)?)", (tests / "refusals.txt").read_text(), re.MULTILINE)
    head, _, _ = (tests / "build.tftest.hcl").read_text().partition("\nrun ")
    for file in tests.glob("*.tftest.hcl"):
        file.unlink()
    for number, (setting, _) in enumerate(rows):
        run = f'run "of_one" {{\n  command = plan\n  variables {{\n    {setting}\n  }}\n}}\n'
        (tests / f"{number}.tftest.hcl").write_text(f"{head}\n{run}")
    said = defaultdict[str, list[str]](list)
    for line in map(json.loads, terraform.test(own_root, "-json").stdout.splitlines()):
        if line["type"] == "diagnostic" and line["diagnostic"]["severity"] == "error":
            said[line["@testfile"]].append(line["diagnostic"]["detail"].partition("\n")[0])
    found = [(setting, said[f"{TESTS}/{number}.tftest.hcl"]) for number, (setting, _) in enumerate(rows)]
    assert found == [(setting, [text.strip()] if text else []) for setting, text in rows]
    variables = re.findall(r'^variable "(\w+)" \{', (own_root / "variables.tf").read_text(), re.MULTILINE)
    assert {setting.split()[0] for setting, text in rows if text} == set(variables) - {"force_destroy"}

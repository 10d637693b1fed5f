"""The real Terraform finds the root formatted, and its own tests pass."""

import json
import re
import textwrap
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
    rows = re.findall(r"^(\w.*)\n((?:  .*\n)*)", (tests / "refusals.txt").read_text(), re.MULTILINE)
    head, _, _ = (tests / "build.tftest.hcl").read_text().partition("\nrun ")
    for file in tests.glob("*.tftest.hcl"):
        file.unlink()
    for number, (setting, _) in enumerate(rows):
        run = f'run "of_one" {{\n  command = plan\n  variables {{\n    {setting}\n  }}\n}}\n'
        (tests / f"{number}.tftest.hcl").write_text(f"{head}\n{run}")
    said = defaultdict[str, list[str]](list)
    for line in map(json.loads, terraform.test(own_root, "-json").stdout.splitlines()):
        if line["type"] == "diagnostic" and line["diagnostic"]["severity"] == "error":
            said[line["@testfile"]] += line["diagnostic"]["detail"].partition("\n\n")[0].splitlines()
    found = [(setting, said[f"{TESTS}/{number}.tftest.hcl"]) for number, (setting, _) in enumerate(rows)]
    assert found == [(setting, textwrap.dedent(text).splitlines()) for setting, text in rows]
    variables = re.findall(r'^variable "(\w+)" \{', (own_root / "variables.tf").read_text(), re.MULTILINE)
    assert {setting.split()[0] for setting, text in rows if text} == set(variables) - {"force_destroy"}


MISSPELT = """
project_id = "my-project"
region     = "asia-east1"
schedule   = { cron = "30 6 * * 1-5", time_zone = "Asia/Shanghai", pausd = true }
job        = { max_retry = 0 }
alerts     = null
engines = {
  financial = { service = "financial-engine" }
  trading   = { service = "trading-engine", batch_sizes = 5, concurency = 5 }
  news      = { service = "news-engine" }
  qa        = { service = "qa-engine" }
}
"""


def test_a_setting_that_no_type_has_is_refused(terraform: Terraform, own_root: Path) -> None:
    """Terraform itself would drop it."""
    settings = own_root / "terraform.tfvars"
    settings.write_text(MISSPELT)
    printed = map(json.loads, terraform.run(own_root, "plan", "-json").stdout.splitlines())
    (error,) = (line["diagnostic"] for line in printed if line["type"] == "diagnostic" and line["@level"] == "error")
    said = [line.partition(": is no setting; write one of ") for line in error["detail"].splitlines()]
    assert [name for name, _, _ in said] == [
        'engines["trading"].batch_sizes',
        'engines["trading"].concurency',
        "job.max_retry",
        "schedule.pausd",
    ]
    assert said[-1][2] == "cron, paused, time_zone."
    settings.write_text(re.sub(r", (pausd|batch_sizes|concurency) = \w+|max_retry = 0", "", MISSPELT))
    terraform.ask(own_root, "plan", "-no-color")

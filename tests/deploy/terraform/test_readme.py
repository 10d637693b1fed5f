"""terraform/README.md agrees with the root: its table of variables, and the APIs that it turns on."""

import re

from tests.deploy.terraform import variables
from tests.deploy.terraform.command import ROOT

README = (ROOT / "README.md").read_text()


def test_all_apis_are_turned_on_before_the_first_apply() -> None:
    """And the one by which Terraform turns them on."""
    (enabled,) = re.findall(r"gcloud services enable (.*)", README)
    used = re.findall(r'"(\w+\.googleapis\.com)"', (ROOT / "apis.tf").read_text())
    assert sorted(enabled.split()) == sorted([*used, "serviceusage.googleapis.com"])


def test_the_readme_has_every_variable() -> None:
    """`python -m tests.deploy.terraform.variables` prints what has to stand between the marks."""
    marked = re.findall(r"<!-- terraform variables -->\n(.*?)\n<!-- /terraform variables -->", README, re.DOTALL)
    assert marked == [variables.table()]

"""The table of the root's variables in terraform/README.md is that of variables.tf."""

import re

from tests.deploy.terraform import variables
from tests.deploy.terraform.command import ROOT


def test_the_readme_has_every_variable() -> None:
    """`python -m tests.deploy.terraform.variables` prints what has to stand between the marks."""
    readme = (ROOT / "README.md").read_text()
    marked = re.findall(r"<!-- terraform variables -->\n(.*?)\n<!-- /terraform variables -->", readme, re.DOTALL)
    assert marked == [variables.table()]

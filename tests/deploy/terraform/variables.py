"""The table of variables of terraform/README.md, from variables.tf: `python -m tests.deploy.terraform.variables`."""

import re

from tests.deploy.terraform.command import ROOT


def table() -> str:
    """A row for each variable: its name with what it holds, its default, and what it is for."""
    text = (ROOT / "variables.tf").read_text()
    rows = [
        _row(name, body) for name, body in re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', text, re.MULTILINE | re.DOTALL)
    ]
    return "\n".join(["| variable | default | meaning |", "| --- | --- | --- |", *rows])


def _row(name: str, body: str) -> str:
    description = re.search(r'^  description = "(.*)"$', body, re.MULTILINE)
    default = re.search(r"^  default +?= (.*)$", body, re.MULTILINE)
    assert description, f"{name} has no description"
    holds = "".join(f"<br>`{line}`" for line in _attributes(body))
    words = description[1].replace('\\"', '"').replace("|", "\\|")
    return f"| **{name}**{holds} | {f'`{default[1]}`' if default else 'needed'} | {words} |"


def _attributes(body: str) -> list[str]:
    """The attributes of an object: `cpu = 1`, `retry.count = 3`, and required ones without a value."""
    within: list[str] = []
    found = []
    for line in re.findall(r"^    .*$", body[: body.find("\n  validation")], re.MULTILINE):
        if opened := re.match(r" +(\w+) += optional\(object\(\{$", line):
            within.append(f"{opened[1]}.")
        elif re.match(r" +\}\), \{\}\)$", line):
            within.pop()
        elif attribute := re.match(r" +(\w+) += (.*)$", line):
            name, kind = attribute.groups()
            given = re.match(r"optional\(\w+\)$|optional\(.*, (.*)\)$", kind)
            found.append(f"{''.join(within)}{name}" + (f" = {given[1] or 'null'}" if given else ""))
    return found


if __name__ == "__main__":
    print(table())

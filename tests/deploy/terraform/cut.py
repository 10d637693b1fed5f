"""Renews schema.json from the real provider, after `make init`:

    terraform -chdir=terraform providers schema -json | python -m tests.deploy.terraform.cut VERSION

Of the provider's schema it keeps the resources, the data sources and the provider's own arguments that the root uses.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3] / "terraform"
SCHEMA = Path(__file__).with_name("schema.json")


def used() -> tuple[set[str], set[str], set[str]]:
    """The resources, the data sources and the provider's arguments in the root."""
    text = "\n".join(path.read_text() for path in sorted(ROOT.glob("*.tf")))
    provider = re.findall(r'^provider "google" \{\n(.*?)^\}', text, re.MULTILINE | re.DOTALL)
    return (
        set(re.findall(r'^resource "(google_\w+)"', text, re.MULTILINE)),
        set(re.findall(r'^data "(google_\w+)"', text, re.MULTILINE)),
        set(re.findall(r"^  (\w+) *=", "\n".join(provider), re.MULTILINE)),
    )


def cut(printed: dict[str, Any], version: str) -> dict[str, Any]:
    """Raises `KeyError` if the root uses what the provider lacks."""
    (schema,) = (schema for name, schema in printed["provider_schemas"].items() if name.endswith("/hashicorp/google"))
    resources, data_sources, arguments = used()
    attributes = schema["provider"]["block"]["attributes"]
    return {
        "note": f"hashicorp/google {version}, cut to what terraform/ uses; renewed as cut.py says",
        "provider": {"version": 0, "block": {"attributes": {name: attributes[name] for name in sorted(arguments)}}},
        "resources": {name: _plain(schema["resource_schemas"][name]) for name in sorted(resources)},
        "data_sources": {name: _plain(schema["data_source_schemas"][name]) for name in sorted(data_sources)},
    }


def _plain(value: Any) -> Any:
    """Without the descriptions."""
    if isinstance(value, dict):
        return {
            key: _plain(item)
            for key, item in value.items()
            if key not in {"description", "description_kind"} or not isinstance(item, str)
        }
    return value


def lines(value: Any, depth: int = 2) -> str:
    """As JSON with a line for each resource, so that a renewal shows which have changed."""
    if depth == 0 or not isinstance(value, dict):
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    return "{\n" + ",\n".join(f"{json.dumps(key)}: {lines(item, depth - 1)}" for key, item in value.items()) + "\n}"


if __name__ == "__main__":
    SCHEMA.write_text(lines(cut(json.load(sys.stdin), sys.argv[1])) + "\n")

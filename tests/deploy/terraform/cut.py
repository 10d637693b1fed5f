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


def used() -> dict[str, set[str]]:
    """The resources and the data sources in the root."""
    text = "\n".join(path.read_text() for path in ROOT.glob("*.tf"))
    return {
        f"{kind}s": set(re.findall(rf'^{block} "(google_\w+)"', text, re.MULTILINE))
        for kind, block in (("resource", "resource"), ("data_source", "data"))
    }


def main() -> None:
    """Raises `KeyError` if the root uses what the provider lacks."""
    printed, version = json.load(sys.stdin), sys.argv[1]
    (schema,) = (schema for name, schema in printed["provider_schemas"].items() if name.endswith("/hashicorp/google"))
    attributes = schema["provider"]["block"]["attributes"]
    cut = {
        "note": f"hashicorp/google {version}, cut to what terraform/ uses; renewed as cut.py says",
        "provider": {"version": 0, "block": {"attributes": {name: attributes[name] for name in ("project", "region")}}},
    } | {
        kind: {name: _plain(schema[f"{kind.removesuffix('s')}_schemas"][name]) for name in sorted(names)}
        for kind, names in used().items()
    }
    SCHEMA.write_text(_lines(cut) + "\n")


def _plain(value: Any) -> Any:
    """Without the descriptions."""
    if isinstance(value, dict):
        return {
            key: _plain(item)
            for key, item in value.items()
            if key not in {"description", "description_kind"} or not isinstance(item, str)
        }
    return value


def _lines(value: Any, depth: int = 2) -> str:
    """As JSON with a line for each resource, so that a renewal shows which have changed."""
    if depth == 0 or not isinstance(value, dict):
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    return "{\n" + ",\n".join(f"{json.dumps(key)}: {_lines(item, depth - 1)}" for key, item in value.items()) + "\n}"


if __name__ == "__main__":
    main()

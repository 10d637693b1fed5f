"""The config objects: compares the config in the bucket with that in the repository, and copies it back.

    python -m terraform.tools.config_objects pull gs://BUCKET/PREFIX   copies the bucket's objects to terraform/config/
    python -m terraform.tools.config_objects diff gs://BUCKET/PREFIX   shows what an apply would overwrite
    python -m terraform.tools.config_objects guard < PLAN.json         refuses a plan that would lose somebody's edit

`diff` exits with 1 if there is a difference, `guard` if an edit would be lost, all with 2 if the bucket cannot be read.

An edit would be lost if the object holds neither what Terraform last wrote (the state knows) nor what it would write
now. `guard` reads the bucket itself, since a plan does not show what lies where Terraform would create an object.
"""

from __future__ import annotations

import json
import os
import sys
from difflib import unified_diff
from pathlib import Path

from job.config.objects import OBJECTS
from job.config.strict_json import SIZE_LIMIT
from job.storage.store import StorageError
from job.storage.uri import open_store
from job.text.messages import Message
from terraform.tools.plan import Plan, config_objects

CONFIG = Path(__file__).parents[1] / "config"


def pull(uri: str, directory: Path) -> int:
    """Writes the bucket's objects over the repository's files; keeps files that the bucket lacks, and names them."""
    theirs, ours = _both(uri, directory)
    for name, content in theirs.items():
        if ours.get(name) != content:
            (directory / name).write_bytes(content)
            print(f"{name}: {'changed' if name in ours else 'new'}")
    for name in ours.keys() - theirs.keys():
        print(f"{name}: not in the bucket, left as it is")
    return 0


def diff(uri: str, directory: Path) -> int:
    """Prints what an apply would change (`-` the bucket's lines, `+` the repository's); returns 1 if there is any."""
    theirs, ours = _both(uri, directory)
    for name in sorted(theirs.keys() | ours.keys()):
        if name not in ours:
            print(f"Only in the bucket, so an apply leaves it: {name}")
            continue
        old, new = (side.get(name, b"").decode(errors="replace").splitlines() for side in (theirs, ours))
        for line in unified_diff(old, new, f"bucket/{name}", f"repository/{name}", lineterm=""):
            print(line)
        if old == new and theirs.get(name) != ours[name]:
            print(f"Differs in what the lines do not show: {name}")
    return int(theirs != ours)


def guard(plan: Plan) -> int:
    """Names the edits that an apply of this plan would lose; returns 1 if there are any, unless OVERWRITE=1."""
    if os.environ.get("OVERWRITE") == "1" or not (lost := lost_edits(plan)):
        return 0
    print(
        "Nothing was applied: somebody edited in the bucket what this apply would overwrite:\n"
        + "".join(f"  {uri}\n" for uri in lost)
        + "`make config-diff` shows the edits, `make config-pull` brings them into the repository, to be committed.\n"
        "To lose them: make apply OVERWRITE=1",
        file=sys.stderr,
    )
    return 1


def lost_edits(plan: Plan) -> list[str]:
    """Returns the objects (`gs://…`) in which this plan would overwrite or delete what somebody else wrote."""
    found: dict[str, None] = {}
    for one in config_objects(plan):
        known = [content.encode() for content in (one.written, one.planned) if content is not None]
        if _read(f"gs://{one.bucket}", one.name) not in [None, *known]:
            found[f"gs://{one.bucket}/{one.name}"] = None  # once, even if it goes from one owner to the other
    return list(found)


def _both(uri: str, directory: Path) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Returns the config in the bucket and in the repository, each by name."""
    ours = {path.name: path.read_bytes() for path in sorted(directory.glob("*.json"))}
    theirs = {name: _read(uri, name) for name in sorted({*OBJECTS, *ours})}
    return {name: content for name, content in theirs.items() if content is not None}, ours


def _read(uri: str, name: str) -> bytes | None:
    stored = open_store(uri).read(name, SIZE_LIMIT + 1)
    if stored and len(stored.data) > SIZE_LIMIT:
        raise StorageError(Message(f"{uri}/{name} is larger than any config"))
    return stored.data if stored else None


def main(arguments: list[str]) -> int:
    """Does what the arguments say; returns 2 if they are wrong or the bucket cannot be read."""
    try:
        match arguments:
            case ["pull" | "diff", ""]:
                print("There is no bucket yet: `make init`, then `make apply`.", file=sys.stderr)
                return 2
            case ["pull", uri]:
                return pull(uri, CONFIG)
            case ["diff", uri]:
                return diff(uri, CONFIG)
            case ["guard"]:
                return guard(json.load(sys.stdin))
    except (StorageError, OSError, ValueError, KeyError, TypeError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The config in the bucket beside that in the repository.

    python -m terraform.config_objects pull gs://BUCKET/PREFIX     the bucket's copies into terraform/config/
    python -m terraform.config_objects diff gs://BUCKET/PREFIX     what an apply would overwrite; exit code 1: something
    python -m terraform.config_objects guard < PLAN.json           exit code 1: the plan would lose somebody's edit

An edit is lost where an object holds neither what Terraform wrote last (the state knows) nor what it would write now.
The guard asks the bucket itself: a plan does not show what lies where it would create something.
"""

from __future__ import annotations

import json
import os
import re
import sys
from difflib import unified_diff
from pathlib import Path

# The library's first use of a bucket would read the bucket's own metadata, in the background.
os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage

from terraform.guard import Plan, config_objects

CONFIG = Path(__file__).with_name("config")
_FILE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\.json")


def in_bucket(uri: str) -> dict[str, bytes]:
    """The config objects right below this URI, by name; what has another name is not config."""
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    prefix = f"{prefix.rstrip('/')}/".lstrip("/")
    with _client() as client:
        blobs = client.list_blobs(bucket, prefix=prefix, delimiter="/")
        named = {blob.name.removeprefix(prefix): blob for blob in blobs}
        return {name: blob.download_as_bytes() for name, blob in sorted(named.items()) if _FILE.fullmatch(name)}


def in_repository(directory: Path) -> dict[str, bytes]:
    """The config files of the repository, by name."""
    return {path.name: path.read_bytes() for path in sorted(directory.glob("*.json"))}


def pull(uri: str, directory: Path) -> int:
    """Writes the bucket's objects over the repository's files; leaves files that the bucket lacks, and says so."""
    theirs, ours = in_bucket(uri), in_repository(directory)
    directory.mkdir(exist_ok=True)
    for name, content in theirs.items():
        if ours.get(name) != content:
            (directory / name).write_bytes(content)
            print(f"{name}: {'changed' if name in ours else 'new'}")
    for name in ours.keys() - theirs.keys():
        print(f"{name}: not in the bucket, left as it is")
    return 0


def diff(uri: str, directory: Path) -> int:
    """Prints what an apply would change (`-` the bucket's lines, `+` the repository's); 1 where there is something."""
    theirs, ours = in_bucket(uri), in_repository(directory)
    for name in sorted(theirs.keys() | ours.keys()):
        if name not in ours:
            print(f"Only in the bucket, so an apply leaves it: {name}")
            continue
        old, new = (side.get(name, b"").decode(errors="replace").splitlines() for side in (theirs, ours))
        for line in unified_diff(old, new, f"bucket/{name}", f"repository/{name}", lineterm=""):
            print(line)
        if theirs.get(name) != ours[name] and old == new:
            print(f"Differs in line ends or bytes that are not text: {name}")
    return int(theirs != ours)


def lost_edits(plan: Plan) -> list[str]:
    """The objects (`gs://…`) in which an apply of this plan would overwrite or delete what somebody else wrote."""
    touched = config_objects(plan)
    if not touched:
        return []  # no credentials are needed where nothing is at stake
    with _client() as client:
        found = []
        for one in touched:
            blob = client.bucket(one.bucket).get_blob(one.name)
            known = [content.encode() for content in (one.written, one.planned) if content is not None]
            if blob is not None and blob.download_as_bytes() not in known:
                found.append(f"gs://{one.bucket}/{one.name}")
        return found


def guard(plan: Plan) -> int:
    """Says which edits an apply of this plan would lose; 1 where there are any, unless OVERWRITE=1."""
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


def _client() -> storage.Client:
    # Any project will do: nothing here is asked of one.
    return storage.Client(project=os.environ.get("GOOGLE_CLOUD_PROJECT", "none"))


def main(arguments: list[str]) -> int:
    """Does what the arguments say; 2 where they are wrong, or the bucket cannot be read."""
    try:
        match arguments:
            case ["pull", uri] if uri.startswith("gs://"):
                return pull(uri, CONFIG)
            case ["diff", uri] if uri.startswith("gs://"):
                return diff(uri, CONFIG)
            case ["guard"]:
                return guard(json.load(sys.stdin))
    except (GoogleAPIError, GoogleAuthError, OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

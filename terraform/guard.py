"""What a merge may ship: reads `terraform show -json PLAN` and refuses a plan that does more.

    python -m terraform.guard PLAN.json        exit code 0 allowed, 1 refused, 2 not a plan

Allowed are in-place updates of the jobs, the schedules and the config objects, and of these only what carries no right:
`MAY_CHANGE` is the whole list, so what a later provider adds is refused until somebody thought about it. An apply is
not atomic: without this, a merge that also needs a grant would fail half way, the image shipped and the grant not made.

It stops accidents, not attackers: who can merge can edit this file as well. What they can not do is written in IAM: the
build's account may set no policy, and act as no account but the job's and the scheduler's.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Plan = dict[str, Any]

OBJECT = "google_storage_bucket_object"
OWNED = f"{OBJECT}.owned["
MAY_CHANGE = {
    # Not: the account, networks, volumes, secrets (env.value_source), keys, protection.
    "google_cloud_run_v2_job": (
        *("annotations", "effective_annotations", "effective_labels", "labels", "terraform_labels"),
        *(f"template.{name}" for name in ("annotations", "labels")),
        *(f"template.template.{name}" for name in ("max_retries", "timeout")),
        *(f"template.template.containers.{name}" for name in ("args", "image", "resources")),
        *(f"template.template.containers.env.{name}" for name in ("name", "value")),
    ),
    # Not: whom it calls, what it says there, as whom.
    "google_cloud_scheduler_job": (
        "attempt_deadline",
        "description",
        "paused",
        "retry_config",
        "schedule",
        "time_zone",
    ),
    OBJECT: ("content", "crc32c", "detect_md5hash", "generation", "md5hash", "md5hexhash"),
}


@dataclass(frozen=True, slots=True)
class ConfigObject:
    """An object that a plan writes or deletes."""

    address: str
    bucket: str
    name: str
    written: str | None
    """What Terraform wrote there last, whatever somebody made of it since; None where it never did."""
    planned: str | None
    """What it would write; None where it deletes."""
    md5: str | None
    """Of what is there now, as far as Terraform looked."""


def config_objects(plan: Plan) -> list[ConfigObject]:
    """Every object that an apply of this plan would write or delete, but for those of a bucket that is yet to come.

    The provider never reads `content` back, and what a refresh does change stands in `resource_drift` with the state
    before it: so a plan still knows what Terraform wrote.
    """
    resources = plan.get("resource_changes", ())
    changes = [change for change in resources if change["type"] == OBJECT]
    drift = [change for change in plan.get("resource_drift", ()) if change["type"] == OBJECT]
    written = {
        (before["bucket"], before["name"]): before.get("content")
        for change in (*changes, *drift)
        if (before := change["change"]["before"])
    }
    to_come = [
        change["change"]["after"]["name"]
        for change in resources
        if change["type"] == "google_storage_bucket" and change["change"]["actions"] == ["create"]
    ]
    found = []
    for change in changes:
        before, after = (change["change"][side] or {} for side in ("before", "after"))
        bucket, name = ((after or before)[part] for part in ("bucket", "name"))
        if bucket not in to_come and _writes(set(change["change"]["actions"]), before):
            contents = written.get((bucket, name)), after.get("content")
            found.append(ConfigObject(change["address"], bucket, name, *contents, before.get("md5hash")))
    return found


def _writes(actions: set[str], before: dict[str, Any]) -> bool:
    if actions == {"delete"}:
        return before.get("deletion_policy") != "ABANDON"
    return bool(actions & {"create", "update", "delete"})


def refusals(plan: Plan) -> list[str]:
    """Why this plan may not be applied by a merge: one line for each address, none where it may."""
    found = [
        f"{change['address']}: {reason}"
        for change in plan.get("resource_changes", ())
        if (reason := _refusal(change["address"], change))
    ]
    found += [
        f"{one.address}: somebody's edit in the bucket would be lost (`make config-diff` shows it)"
        for one in config_objects(plan)
        if one.address.startswith(OWNED) and one.md5 and one.written is not None and one.md5 != _md5(one.written)
    ]
    # A plan that is not whole says nothing about the rest; invocations are actions beside the resources.
    if plan.get("errored") or plan.get("complete") is False or plan.get("deferred_changes"):
        found.append("the plan: it is not complete")
    for kind in ("action_invocations", "deferred_action_invocations"):
        found += [f"{call.get('address', 'an action')}: is invoked" for call in plan.get(kind) or ()]
    return found


def _md5(content: str) -> str:
    return base64.b64encode(hashlib.md5(content.encode(), usedforsecurity=False).digest()).decode()


def _refusal(address: str, resource: dict[str, Any]) -> str | None:
    change, kind = resource["change"], resource["type"]
    actions = " and ".join(change["actions"])
    if change.get("importing"):
        return f"import ({actions})"
    if moved := resource.get("previous_address"):
        return f"move from {moved} ({actions})"
    if actions in {"no-op", "read"}:
        return None
    if actions != "update" or kind not in MAY_CHANGE or (kind == OBJECT and not address.startswith(OWNED)):
        return actions
    beyond = sorted(path for path in _changed(change) if not _within(path, MAY_CHANGE[kind]))
    return f"update of {', '.join(beyond)}" if beyond else None


def _within(path: str, allowed: tuple[str, ...]) -> bool:
    return any(f"{path}.".startswith(f"{one}.") for one in allowed)


def _changed(change: dict[str, Any]) -> set[str]:
    """The attributes that change, by name, without the indices of lists.

    What only the apply will tell is a change, but for the provider's own answers (`etag`), which stand at the top.
    """
    unknown = change.get("after_unknown") or {}
    answers = {name for name, value in unknown.items() if value is True}
    before, after = change["before"], change["after"]
    paths = {*_differences(before, after), *_differences({}, unknown)}
    if _containers(before) != _containers(after):  # one more may have nothing but what one may change
        paths.add("template.template.containers")
    return {path for path in paths if path.partition(".")[0] not in answers}


def _containers(job: dict[str, Any]) -> int:
    tasks = (task for execution in job.get("template") or () for task in execution.get("template") or ())
    return sum(len(task.get("containers") or ()) for task in tasks)


def _differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Where two values differ. Null, false, zero and empty are the same: each is how a provider says "not set"."""
    kinds = {type(value) for value in (before, after) if value}
    if kinds == {dict}:
        old, new = before or {}, after or {}
        for name in old.keys() | new.keys():
            yield from _differences(old.get(name), new.get(name), f"{path}.{name}".lstrip("."))
    elif kinds == {list}:
        for old, new in zip_longest(before or [], after or []):
            yield from _differences(old, new, path)
    elif before != after and kinds:
        yield path


def main(arguments: list[str]) -> int:
    """Judges the plan in the file named; says on stderr what a person has to do where it is refused."""
    try:
        (path,) = arguments
        plan = json.loads(Path(path).read_text(encoding="utf-8"))
        major = plan["format_version"].partition(".")[0]
        found = refusals(plan)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        print(f"This is not what `terraform show -json PLAN` prints: {error!r}", file=sys.stderr)
        return 2
    if major != "1":
        print(f"The plan's format {plan['format_version']} is not known here", file=sys.stderr)
        return 2
    if not found:
        print("Nothing but jobs, schedules and config changes, each in place.")
        return 0
    image = plan.get("variables", {}).get("image", {}).get("value") or "REPOSITORY@sha256:…"
    refused = "\n".join(f"  {line}" for line in found)
    print(
        "Nothing was applied. A merge ships image, schedule and config; this one would do more:\n"
        f"{refused}\n"
        "Whoever may do that has to look at it and apply it, at this commit:\n"
        f"  make plan IMAGE={image}\n"
        f"  make apply IMAGE={image}",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

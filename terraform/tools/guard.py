"""The merge guard: reads `terraform show -json PLAN` and refuses a plan that does more than a merge may do.

    python -m terraform.tools.guard PLAN.json        exit code 0: allowed, 1: refused, 2: not a plan

A merge may update this root's jobs, schedules and config objects in place, and of these only attributes that give no
right to anybody. Everything that is not listed below is refused, including what a later provider adds. An apply is not
atomic: without the guard, a merge that also needs a grant would fail halfway, with the image shipped and no grant.

The guard stops accidents, not attackers: people who can merge can also edit this file. IAM sets what they cannot do:
the build's account may set no policy, and may act as no account but the job's and the scheduler's.

The build runs this module in a plain Python image, so it needs the standard library only.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terraform.tools.plan import OBJECT, config_objects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from terraform.tools.plan import Plan

JOB = "google_cloud_run_v2_job"
SCHEDULE = "google_cloud_scheduler_job"

ADDRESSES = {
    JOB: r'google_cloud_run_v2_job\.main\["(run|verify)"\]',
    SCHEDULE: r'google_cloud_scheduler_job\.main\["(run|verify)"\]',
    OBJECT: r'google_storage_bucket_object\.owned\["[^"]+\.json"\]',
}
"""The resources of this root that a merge may update, by type. A module's resources have other addresses."""

MAY_CHANGE = {
    # Not listed: account, networks, volumes, secrets (env.value_source), keys, protection.
    JOB: (
        *("annotations", "effective_annotations", "effective_labels", "labels", "terraform_labels"),
        *(f"template.{name}" for name in ("annotations", "labels")),
        *(f"template.template.{name}" for name in ("max_retries", "timeout")),
        *(f"template.template.containers.{name}" for name in ("args", "image", "resources")),
        *(f"template.template.containers.env.{name}" for name in ("name", "value")),
    ),
    # Not listed: which URL it calls, with what body, as which account.
    SCHEDULE: ("attempt_deadline", "description", "paused", "retry_config", "schedule", "time_zone"),
    OBJECT: ("content", "detect_md5hash"),
}
"""The attributes that a merge may change, by type, if the plan shows their new values."""

ANSWERS = {
    JOB: (
        *("conditions", "create_time", "creator", "delete_time", "etag", "execution_count", "expire_time"),
        *("generation", "last_modifier", "latest_created_execution", "observed_generation", "reconciling"),
        *("terminal_condition", "uid", "update_time"),
    ),
    SCHEDULE: ("state",),
    OBJECT: ("crc32c", "generation", "md5hash", "md5hexhash", "media_link", "output_name", "self_link"),
}
"""The attributes that Google alone answers, by type: the configuration cannot set them, so they may be unknown.

They are those that the provider's schema calls computed and not optional, except for the effective labels and
annotations, which follow from the configuration. A test compares this list with the schema.
"""

CONTAINERS = "template.template.containers"
IMAGE = f"{CONTAINERS}.image"
VARIABLES = f"{CONTAINERS}.env"
IMAGE_NAME = "job"
REGISTRY = "google_artifact_registry_repository.main"

ACTION = "{address}: {action}. A merge only updates in place; a person must apply this plan."
NO_ACTION = "{address}: no action. The plan is damaged; start the build again."
ELSEWHERE = (
    "{address}: update. A merge updates only the jobs, schedules and config objects of this root itself; "
    "a person must apply this plan."
)
CHANGED = "{address}: {attributes} would change. A merge may not change this; a person must apply this plan."
UNKNOWN = (
    "{address}: {attributes} would be known only after the apply. "
    "Set a value that the plan can show, or a person must apply this plan."
)
FOREIGN_IMAGE = "{address}: {attribute} would be {image!r}. Deploy an image of this root by its digest: {own}@sha256:…"
NO_REGISTRY = "{address}: {attribute} cannot be checked, as the state has no {registry}. A person must apply this plan."
LOST_EDIT = (
    "{address}: content was edited in the bucket, and the edit would be lost. "
    "`make config-diff` shows it; `make config-pull` brings it into the repository, to be committed."
)
INCOMPLETE = (
    "the plan: {attribute} says that it is not complete. Correct what Terraform reports and start the build again."
)
INVOKED = "{address}: would be invoked. A merge invokes no actions; a person must apply this plan."


def refusals(plan: Plan) -> list[str]:
    """Returns why a merge may not apply this plan, a line for each reason; none if it may.

    Each line names the resource's address, what would change, and what to do.
    """
    own_image = _own_image(plan)
    found = [line for resource in plan["resource_changes"] for line in _refusals(resource, own_image)]
    found += [
        LOST_EDIT.format(address=one.address)
        for one in config_objects(plan)
        if one.md5 and one.written is not None and one.md5 != _md5(one.written)
    ]
    # An incomplete plan says nothing about the rest, and invocations of actions stand beside the changes of resources.
    incomplete = {
        "errored": plan.get("errored"),
        "complete": plan.get("complete") is False,
        "deferred_changes": plan.get("deferred_changes"),
    }
    found += [INCOMPLETE.format(attribute=name) for name, wrong in incomplete.items() if wrong]
    for kind in ("action_invocations", "deferred_action_invocations"):
        found += [INVOKED.format(address=call.get("address", "an action")) for call in plan.get(kind) or ()]
    return found


def _md5(content: str) -> str:
    return base64.b64encode(hashlib.md5(content.encode(), usedforsecurity=False).digest()).decode()


def _own_image(plan: Plan) -> str | None:
    """Returns the name of this root's image without a digest; None if the state has no registry.

    Only the managed resources of `prior_state` can be trusted here: they are what somebody with the rights applied
    before, as Google shows it now. Variables, outputs and planned values come from the commit that is to be judged, and
    so do the outputs in `prior_state`, which Terraform computes again for each plan. A commit could add to these
    resources by `import` or `moved`, and both are refused.
    """
    prior = plan.get("prior_state", {}).get("values", {}).get("root_module", {})
    for resource in prior.get("resources", ()):
        if resource["address"] == REGISTRY:
            at = resource["values"]
            return f"{at['location']}-docker.pkg.dev/{at['project']}/{at['repository_id']}/{IMAGE_NAME}"
    return None


def _refusals(resource: dict[str, Any], own_image: str | None) -> Iterator[str]:
    address, change, kind = resource["address"], resource["change"], resource["type"]
    action = " and ".join(change["actions"])
    if change.get("importing"):
        yield ACTION.format(address=address, action=f"import ({action})")
    elif moved := resource.get("previous_address"):
        yield ACTION.format(address=address, action=f"move from {moved} ({action})")
    elif not action:
        yield NO_ACTION.format(address=address)
    elif action in {"no-op", "read"}:
        return
    elif action != "update":
        yield ACTION.format(address=address, action=action)
    elif kind not in ADDRESSES or not re.fullmatch(ADDRESSES[kind], address):
        yield ELSEWHERE.format(address=address)
    else:
        yield from _update_refusals(address, change, kind, own_image)


def _update_refusals(address: str, change: dict[str, Any], kind: str, own_image: str | None) -> Iterator[str]:
    before, after = change["before"], change["after"]
    unknown = {path for path in _unknown(change.get("after_unknown")) if not _within(path, ANSWERS[kind])}
    changed = set(_differences(before, after))
    if len(_containers(before)) != len(_containers(after)):  # another container may have nothing but what may change
        changed.add(CONTAINERS)
    allowed = (*MAY_CHANGE[kind], *ANSWERS[kind], *unknown)
    if beyond := sorted(path for path in changed if not _within(path, allowed)):
        yield CHANGED.format(address=address, attributes=", ".join(beyond))
    if unknown:
        yield UNKNOWN.format(address=address, attributes=", ".join(sorted(unknown)))
    if kind != JOB or _within(IMAGE, tuple(unknown)):
        return
    for image in (container.get("image") for container in _containers(after)):
        if own_image is None:
            yield NO_REGISTRY.format(address=address, attribute=IMAGE, registry=REGISTRY)
        elif not re.fullmatch(re.escape(own_image) + "@sha256:[0-9a-f]{64}", str(image)):
            yield FOREIGN_IMAGE.format(address=address, attribute=IMAGE, image=image, own=own_image)


def _within(path: str, allowed: tuple[str, ...]) -> bool:
    return any(f"{path}.".startswith(f"{one}.") for one in allowed)


def _containers(job: dict[str, Any]) -> list[dict[str, Any]]:
    tasks = (task for execution in job.get("template") or () for task in execution.get("template") or ())
    return [container for task in tasks for container in task.get("containers") or ()]


def _unknown(value: Any, path: str = "") -> Iterator[str]:
    """Yields the attributes that are known only after the apply, by name, without the indices of lists."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _unknown(inner, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from _unknown(inner, path)
    elif value:
        yield path


def _differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Yields the attributes in which two values differ, by name, without the indices of lists.

    Null, false, zero and empty are the same: each is how some provider says "not set".
    """
    kinds = {type(value) for value in (before, after) if value}
    if kinds == {list} and path == VARIABLES and (pairs := _by_name(before or [], after or [])) is not None:
        for old, new in pairs:
            yield from _differences(old, new, path)
    elif kinds == {dict}:
        old, new = before or {}, after or {}
        for name in old.keys() | new.keys():
            yield from _differences(old.get(name), new.get(name), f"{path}.{name}".lstrip("."))
    elif kinds == {list}:
        for old, new in zip_longest(before or [], after or []):
            yield from _differences(old, new, path)
    elif before != after and kinds:
        yield path


def _by_name(before: list[Any], after: list[Any]) -> list[tuple[Any, Any]] | None:
    """Pairs the variables of a job, which are a set: one more or less must not set all others beside a wrong one.

    None if a name is there twice, or is not known.
    """
    old, new = ({one.get("name"): one for one in variables} for variables in (before, after))
    if len(old) < len(before) or len(new) < len(after) or None in old.keys() | new.keys():
        return None
    return [(old.get(name), new.get(name)) for name in old.keys() | new.keys()]


def main(arguments: list[str]) -> int:
    """Judges the plan in the named file; if it is refused, says on stderr what a person has to do."""
    try:
        (path,) = arguments
        plan = json.loads(Path(path).read_text(encoding="utf-8"))
        major = plan["format_version"].partition(".")[0]
        found = refusals(plan)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        print(f"This is not what `terraform show -json PLAN` prints: {error!r}", file=sys.stderr)
        return 2
    if major != "1":
        print(f"The guard does not know the plan's format {plan['format_version']}.", file=sys.stderr)
        return 2
    if not found:
        print("The plan updates jobs, schedules and config objects in place, and nothing else: a merge may apply it.")
        return 0
    image = plan.get("variables", {}).get("image", {}).get("value") or "REPOSITORY@sha256:…"
    refused = "\n".join(f"  {line}" for line in found)
    print(
        "Nothing was applied. A merge ships image, schedule and config, and this plan would do more:\n"
        f"{refused}\n"
        "A person with the rights can look at the plan and apply it, at this commit:\n"
        f"  make plan IMAGE={image}\n"
        f"  make apply IMAGE={image}",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

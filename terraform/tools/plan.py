"""The plan: what `terraform show -json PLAN` says about the config objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Plan = dict[str, Any]

OBJECT = "google_storage_bucket_object"


@dataclass(frozen=True, slots=True)
class ConfigObject:
    """An object that a plan writes or deletes."""

    address: str
    bucket: str
    name: str
    written: str | None
    """What Terraform last wrote there, whatever anybody made of it since; None if it never did."""
    planned: str | None
    """What Terraform would write; None if it deletes."""
    md5: str | None
    """The hash of what is there now; None if Terraform did not look."""


def config_objects(plan: Plan) -> list[ConfigObject]:
    """Returns every object that an apply of this plan would write or delete, except in a bucket that it would create.

    The provider never reads `content` back, and `resource_drift` holds the state from before the refresh of everything
    that the refresh changed: so a plan still knows what Terraform wrote.
    """
    resources = plan["resource_changes"]
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

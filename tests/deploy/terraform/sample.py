"""What a user might write into terraform.tfvars: the minimum, and everything, with the highest numbers of an engine."""

import json
from typing import Any

from job.engines.calls import ALL_ENGINES, BATCHES

VIEWER, OPERATOR, MAINTAINER = "group:publishers@example.com", "group:cards@example.com", "user:owner@example.com"

LITTLE: dict[str, Any] = {
    "project_id": "my-project",
    "region": "asia-east1",
    "schedule": {"cron": "30 6 * * 1-5", "time_zone": "Asia/Shanghai"},
    "engines": {name: {"service": f"{name}-engine"} for name in ALL_ENGINES},
}

EVERYTHING: dict[str, Any] = LITTLE | {
    "alerts": {"notification_channels": ["projects/my-project/notificationChannels/1"], "success_by": "09:00"},
    "build": {"repository": "projects/my-project/locations/asia-east1/connections/github/repositories/cards"},
    "card_url": "https://cards.example.com/{date}/{ticker}/{card_type}.png",
    "engines": {
        name: {
            "service": f"{name}-engine",
            "project": f"{name}-project",
            "audience": f"https://{name}-audience.example.com",
            "timeout_seconds": 3600 - number,
            "concurrency": {"qa": 8192}.get(name, 8192 - number),
            "patience_seconds": 86_400 - number,
            "per_minute": 60_000 - number,
        }
        | ({"batch_size": 1000 - number} if name in BATCHES else {})
        | ({"attempts": 20} if name == "qa" else {})
        for number, name in enumerate(ALL_ENGINES)
    },
    "job": {"cpu": 2, "memory_mib": 1024, "max_retries": 2, "task_timeout_seconds": 7200},
    "labels": {"team": "cards"},
    "network": {"network": "vpc", "subnetwork": "jobs"},
    "notify": {"secret": "cards-hook", "signing_secret": "cards-hook-key", "only": "failures"},
    "people": {"viewers": [VIEWER], "operators": [OPERATOR], "maintainers": [MAINTAINER]},
}


CONFIG: dict[str, str] = {
    name: json.dumps(value) + "\n"
    for name, value in {
        "ticker_list.json": ["AAPL", "BRK.B", "0700.HK"],
        "card_types.json": ["news_card", "earnings_card"],
        "card_targets.json": [{"id": "Rate vs Inflation"}, {"id": "AAPL", "card_types": ["news_card"]}],
    }.items()
}
"""The config of every copy of the root: a user's own may be faulty."""


def resources(plan: dict[str, Any], *types: str) -> dict[str, dict[str, Any]]:
    """The planned values of the resources of these types, or of all, by their addresses."""
    return {
        one["address"]: one["values"]
        for one in plan["planned_values"]["root_module"]["resources"]
        if one["mode"] == "managed" and (not types or one["type"] in types)
    }


def environment(plan: dict[str, Any], job: str = "run") -> dict[str, str]:
    """The environment that the planned job would get, without its secrets."""
    return {one["name"]: one["value"] for one in _variables(plan, job) if not one["value_source"]}


def secrets(plan: dict[str, Any], job: str = "run") -> dict[str, str]:
    """The variables of the planned job that are secrets, by the names of these."""
    sources = {one["name"]: one["value_source"] for one in _variables(plan, job) if one["value_source"]}
    return {name: source[0]["secret_key_ref"][0]["secret"] for name, source in sources.items()}


def container(plan: dict[str, Any], job: str) -> dict[str, Any]:
    """The container of a planned job."""
    values = resources(plan, "google_cloud_run_v2_job")[f'google_cloud_run_v2_job.main["{job}"]']
    (found,) = values["template"][0]["template"][0]["containers"]
    return dict(found)


def _variables(plan: dict[str, Any], job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = container(plan, job)["env"]
    return found

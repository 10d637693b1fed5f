"""Summaries of past nights, built from a seed: for the page of the nights."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from job.records.past import Past, PastRun
from job.report.summary import RunSummary

from job.engines.catalog import ALL_ENGINES
from job.report.outcome import Outcome

ZONE = timezone(timedelta(hours=8))
FIRST = datetime(2026, 9, 27, 18, tzinfo=UTC)
NAMES = ["AAPL", "^GSPC", "0700.HK", "美联储", "贵州茅台", "Rate vs Inflation"]
TYPES = ["news_card", "price_card", "一周回顾"]


def totals(planned: int, failed: int = 0, cut_off: int = 0, open_: int = 0) -> dict[str, Any]:
    done = planned - failed - open_
    return {
        "planned": planned,
        "done": done,
        "skipped": 0,
        "failed": failed,
        "not_attempted": open_,
        "cut_off": cut_off,
        "calls": done,
        "retries": 0,
        "p50_seconds": 20.0,
        "p95_seconds": 50.0,
    }


def past_summaries(count: int, seed: int = 1, uri: str = "gs://cards-config/config") -> Past:
    """This many runs, the newest first: some fail, some are resumed the same day, some are not closed."""
    runs: list[PastRun] = []
    rng, day = random.Random(seed), FIRST
    while len(runs) < count:
        day += timedelta(days=1)
        for number in range(2 if rng.random() < 0.1 else 1):
            if len(runs) < count:
                moment = day + timedelta(hours=2 * number)
                run_id = f"cards-nightly-{rng.getrandbits(25):05x}"
                summary = None if rng.random() < 0.03 else _summary(run_id, moment, rng, uri)
                started = moment.astimezone(ZONE)
                outcome = summary.outcome if summary else Outcome.KILLED
                runs.append(PastRun(run_id, started, summary.day if summary else None, outcome, summary=summary))
    return Past(runs[::-1])


def _summary(run_id: str, moment: datetime, rng: random.Random, uri: str) -> RunSummary:
    targets = 120 if rng.random() < 0.1 else 180
    cards = targets * 3
    kind = rng.choices(["succeeded", "cards_missing", "data_engine_failed", "interrupted"], [80, 12, 4, 4])[0]
    local = moment.astimezone(ZONE)
    failed = [(rng.choice(NAMES), rng.choice(TYPES)) for _ in range(3)] if kind == "cards_missing" else []
    failed = list(dict.fromkeys(failed))
    engines = {engine: totals(targets) for engine in ALL_ENGINES} | {"qa": totals(cards, failed=len(failed))}
    phases = {"data": 1100.0 + rng.gauss(0, 120), "cards": 1500.0 + rng.gauss(0, 200)}
    missing = [
        {"engine": "qa", "card_type": card, "state": "failed", "cause": "status", "since": f"{local:%Y-%m-%d}",
         "nights": 1, "targets": [name]}
        for name, card in failed
    ]  # fmt: skip
    if kind == "data_engine_failed":
        engines |= {"news": totals(targets, failed=4, cut_off=3, open_=30), "qa": totals(cards, open_=cards)}
        engines["trading"] = totals(targets, failed=4, cut_off=4)
        del phases["cards"]
    elif kind == "interrupted":
        engines["qa"] = totals(cards, failed=16, cut_off=16, open_=100)
    made = engines["qa"]
    return RunSummary.model_validate(
        {
            "run_id": run_id,
            "day": f"{local:%Y-%m-%d}",
            "date": f"{local:%Y-%m-%d}",
            "config_uri": uri,
            "started": local.isoformat(timespec="seconds"),
            "ended": (local + timedelta(seconds=sum(phases.values()))).isoformat(timespec="seconds"),
            "outcome": kind,
            "exit_code": {"succeeded": 0, "cards_missing": 3, "data_engine_failed": 1, "interrupted": 143}[kind],
            "cards": {
                "planned": cards,
                "generated": made["done"],
                "failed": made["failed"],
                "not_attempted": made["not_attempted"],
            },
            "engines": engines,
            "phases": phases,
            "missing": missing,
        }
    )

"""What is keyed by engine has every engine: a new one is missed here by name, and not at night by a KeyError."""

import re
from dataclasses import replace
from typing import get_args

import pytest

from job.day.report import PHASES
from job.engines import answers, calls
from job.engines.calls import ALL_ENGINES, BATCHES, DATA_ENGINES, ENGINES, TARGET_ENGINES, EngineName, Kind
from job.telling.notes import past_day_notice
from tests.simulators.job import ROOT
from tests.support.fakes import plan_of, target

EVERY = {*ENGINES, *get_args(EngineName)}
LINES = "".join((ROOT / page).read_text("utf-8") for page in ("job/engines/README.md", "terraform/engines.tf"))


def planned() -> set[str]:
    """The engines that are called for a target which is given to all of them, and those that take none."""
    plan = replace(plan_of([target("NVDA")]), daily=tuple(name for name in DATA_ENGINES if name not in TARGET_ENGINES))
    return {engine for engine in ALL_ENGINES if any(plan.calls(engine))}


HELD = {
    "engines/calls: EngineName": (set(get_args(EngineName)), EVERY),
    "engines/calls: ENGINES": (set(ENGINES), EVERY),
    "engines/calls: switch": ({name for name, engine in ENGINES.items() if engine.switch}, set(DATA_ENGINES)),
    "engines/calls: BATCHES": (set(BATCHES), {name for name, engine in ENGINES.items() if engine.batch_size > 1}),
    "engines/calls: _NEWS_PATHS": (set(calls._NEWS_PATHS), set(get_args(Kind))),
    "engines/answers: _JUDGES": (set(answers._JUDGES), EVERY),
    "config/plan: calls": (planned(), EVERY),
    "day/report: PHASES": ({engine for phase in PHASES.values() for engine in phase}, EVERY),
    "telling/notes: past_day_notice": (
        {name for name in ENGINES if f" {ENGINES[name].label} " in str(past_day_notice("2026-11-24"))},
        set(BATCHES),
    ),
    "engines/README.md: the calls": (set(re.findall(r"^\| (\w+) \| `/", LINES, re.MULTILINE)), EVERY),
    "terraform/engines.tf: names": (
        set(re.findall(r'"(\w+)"', LINES.partition("  engine_names = [")[2].partition("]")[0])),
        EVERY,
    ),
}
"""What each of them has, and what it should have."""


@pytest.mark.parametrize("where", HELD)
def test_what_is_keyed_by_engine_has_every_engine(where: str) -> None:
    has, should = HELD[where]
    assert has == should


def test_a_slash_makes_no_other_path_though_no_config_has_one() -> None:
    assert calls.news("A", "topic", "../a/b", "2026-11-24").path.endswith("/..%2Fa%2Fb")
    assert calls.card("A", "a/b?", "2026-11-24", []).path.startswith("/card/a%2Fb%3F?ticker=A&")

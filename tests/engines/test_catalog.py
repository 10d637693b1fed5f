"""What is keyed by engine has every engine: a new one is missed here by name, and not at night by a KeyError."""

import re
from dataclasses import replace
from typing import get_args

import pytest

from job.day.report import PHASES
from job.engines import answers, calls
from job.engines.calls import (
    ALL_ENGINES,
    BATCHES,
    DATA_ENGINES,
    ENGINES,
    TARGET_ENGINES,
    EngineName,
    Kind,
    card,
    financial,
    news,
    trading,
)
from job.engines.identity import RunIdentity, new_trace_id
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
    "terraform/engines.tf: own_settings": (
        set(re.findall(r"^    (\w+) +=", LINES.partition("  own_settings = {")[2].partition("  }")[0], re.MULTILINE)),
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


# --- keys ---

CALLS = [
    card("AAPL", "news_card", "2026-11-24", [("model_name", "a")]),
    card("AAPL", "news_card", "2026-11-25", [("model_name", "a")]),
    card("AAPL", "news_card", "2026-11-24", [("model_name", "b")]),
    card("AAPL", "news_card", "2026-11-24", [("preferred_llm_backend", "a")]),
    card("AAPL", "risk_card", "2026-11-24", [("model_name", "a")]),
    card("MSFT", "news_card", "2026-11-24", [("model_name", "a")]),
    news("AAPL", "equity", "AAPL", "2026-11-24"),
    news("AAPL", "equity", "AAPL", "2026-11-25"),
    news("AAPL", "topic", "AAPL", "2026-11-24"),
    financial(["AAPL", "MSFT"]),
    financial(["AAPL"]),
    trading(["AAPL"]),
]


def keys(trace_id: str) -> list[str]:
    """The keys of all calls: the first time, and for two requests to make their items again."""
    day = RunIdentity(trace_id)
    return [day.idempotency_key(*call.fingerprint, rerun=again) for call in CALLS for again in (0, 2, 3)]


def test_every_request_of_every_day_has_a_key_of_its_own_and_always_the_same() -> None:
    one, other = new_trace_id(), new_trace_id()
    assert keys(one) == keys(one)
    assert len({*keys(one), *keys(other)}) == 2 * 3 * len(CALLS)
    assert {len(key) for key in keys(one)} == {32}


def test_each_call_has_a_span_of_its_own_in_the_trace_of_the_day() -> None:
    trace_id = new_trace_id()
    first, second = (RunIdentity(trace_id).traceparent() for _ in range(2))
    assert first != second
    assert first[:36] == second[:36] == f"00-{trace_id}-"
    assert (len(first), first[-3:]) == (55, "-01")

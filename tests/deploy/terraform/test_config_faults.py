"""What the job refuses the plan refuses, in the same words."""

import copy
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from job.config.objects import read_config
from job.planning.targets import resolve
from tests.deploy.terraform.command import ROOT, Terraform

SAMPLE = {path.name: path.read_text() for path in sorted((ROOT / "config").glob("*.json"))}
SMALL = {
    "ticker_list.json": '["AAPL", "0700.HK"]',
    "card_types.json": '[{"name": "news_card"}, {"name": "old_card", "enabled": false}]',
}
# Each beside SMALL; None takes an object away.
CASES: dict[str, dict[str, str | None]] = {
    "nothing at all": dict.fromkeys(SMALL),
    "every ticker of a bad form": {
        "ticker_list.json": json.dumps(
            [
                "",
                " ",
                ".",
                "..",
                "../x",
                "a/b",
                "a\\b",
                "a\nb",
                "a\u2028b",
                " A",
                "x" * 65,
                "é" * 64,
                "<&>/",
                "/" + "y" * 90,
                7,
                None,
                ["A"],
                {},
            ]
        )
    },
    "tickers of another shape": {"ticker_list.json": '{"AAPL": true}'},
    "no tickers": {"ticker_list.json": "[]"},
    "types of both forms": {"card_types.json": '[{"name": "news_card"}, "old_card"]'},
    "types with faults": {"card_types.json": '[{"name": "a/b", "on": true}, {"enabled": "yes"}, {"name": null}]'},
    "no types": {"card_types.json": "[]"},
    "all types off": {"card_types.json": '[{"name": "a", "enabled": false}, {"name": "b", "enabled": false}]'},
    "a type both on and off": {"card_types.json": '[{"name": "a"}, {"name": "a", "enabled": false}, {"name": "a"}]'},
    "targets of another shape": {"card_targets.json": '"AAPL"'},
    "targets null": {"card_targets.json": "null"},
    "no simple targets": {"card_targets.json": "{}"},
    "no full targets": {"card_targets.json": "[]"},
    "simple: unknown ticker, unknown type, none, odd keys": {
        "card_targets.json": '{"MSFT": ["x_card"], "0700.HK": [], "AAPL": ["news_card", "y"], "a/b": 7, "": ["z", 1]}'
    },
    "simple: only off": {"card_targets.json": '{"AAPL": ["old_card"], "0700.HK": ["old_card"]}'},
    "simple: unknown ticker beside unusable tickers": {
        "card_targets.json": '{"MSFT": ["x_card"]}',
        "ticker_list.json": "7",
    },
    "simple: unknown type beside unusable types": {"card_targets.json": '{"MSFT": ["x_card"]}', "card_types.json": "7"},
    "full: wrong shapes": {
        "card_targets.json": json.dumps(
            [
                7,
                {},
                {"id": "A", "card_types": {}, "target_type": "stock", "category": 1, "date": 20260101, "foo": 1},
                {
                    "id": "B",
                    "card_types": ["a/b", 1],
                    "target_type": 1,
                    "topic_key": "",
                    "run_engines": [],
                    "extra_params": [],
                },
                {"id": "C", "date": "2026-02-30", "run_engines": {"finance": True, "news": "no", "trading": None}},
                {
                    "id": "D",
                    "date": "26-1-1",
                    "extra_params": {"ticker": "x", "date_str": 1, "": [], "n": None, "o o": {}},
                },
            ]
        )
    },
    "full: they do not fit together": {
        "card_targets.json": json.dumps(
            [
                {
                    "id": "equities_default",
                    "date": "2026-01-01",
                    "topic_key": "k",
                    "extra_params": {},
                    "card_types": ["q"],
                },
                {"id": "美联储"},
                {"id": "Rate vs Inflation"},
                {"id": "rate-vs inflation", "topic_key": "rate_vs_inflation"},
                {"id": "Elon_Musk", "category": " People "},
                {"id": "Elon_Musk", "category": "person"},
                {"id": "Rate vs Inflation", "card_types": None},
                {"id": "AAPL", "card_types": ["news_card", "x_card"], "category": "equity"},
                {"id": "0700.HK", "category": "macro"},
            ]
        )
    },
    "full: only off": {
        "card_targets.json": json.dumps(
            [{"id": "equities_default", "card_types": ["old_card"]}, {"id": "T", "card_types": ["old_card"]}]
        )
    },
    "simple: faults beside entries that cannot be read": {
        "card_targets.json": '{"AAPL": ["y"], "AAPL2": 7, "MSFT": ["x", 1], "a: [0]": ["z"], "T": [], "a/b": ["z"]}'
    },
    "full: faults beside entries that cannot be read": {
        "card_targets.json": json.dumps(
            [
                7,
                {"id": "X"},
                {"id": "X", "date": 1},
                {"id": "X", "date": "2026-01-01"},
                {"id": "Rate 1"},
                {"id": "rate_1"},
                {"id": "美联储"},
                {"id": "equities_default", "date": "2026-01-01", "dat": 1},
                {"id": "equities_default", "topic_key": "k", "card_types": ["q"]},
                {"id": "AAPL", "card_types": ["old_card"]},
                *({"id": f"T{number}", "card_types": ["q"]} for number in range(10, 14)),
            ]
        )
    },
    "types: faults beside entries that cannot be read": {
        "card_types.json": '["b", {"name": "a"}, {"name": "c", "on": 1}, {"name": "a", "enabled": false}]',
        "card_targets.json": '{"AAPL": ["q"], "MSFT": []}',
    },
    "types: those that can be read are off": {
        "card_types.json": '[{"name": "a", "enabled": false}, {"name": "b", "enabled": 1}]'
    },
    "simple: only off beside an entry that cannot be read": {
        "card_targets.json": '{"AAPL": ["old_card"], "0700.HK": "news_card"}'
    },
    "full: only off beside an entry that cannot be read": {
        "card_targets.json": '[{"id": "equities_default", "card_types": ["old_card"]}, {"id": "T", "dat": 1}]'
    },
    "full: only off beside tickers that cannot be read": {
        "ticker_list.json": "[7]",
        "card_targets.json": '[{"id": "T", "target_type": "person", "card_types": ["old_card"]}]',
    },
    "full: what may be topics beside tickers that cannot be read": {
        "ticker_list.json": '["AAPL", 7]',
        "card_targets.json": '[{"id": "茅台"}, {"id": "R 1"}, {"id": "r_1"}, {"id": "美联储", "category": "x"}]',
    },
    "control and models": {
        "engine_control.json": '{"run_news_engine": 1, "run_qa_engine": true}',
        "llm_config.json": '{"default": null, "tasks": {"": {}, "a b": {"backend": " ", "model": 1}, "c": 7}, "x": 1}',
    },
    "control and models of another shape": {"engine_control.json": "[]", "llm_config.json": "null"},
    "tasks of another shape": {"llm_config.json": '{"default": 7, "tasks": [1]}'},
}
FAULTY = [
    {"id": "equities_default", "card_types": ["q", "old_card"], "date": "2026-01-01"},
    {"id": "AAPL", "card_types": ["news_card", "x_card"]},
    {"id": "美联储"},
    {"id": "Rate 1"},
    {"id": "rate_1"},
    {"id": "Elon_Musk", "category": " People "},
    {"id": "Elon_Musk", "category": "person"},
    {"id": "T", "card_types": ["old_card"]},
    {"id": "T", "card_types": ["old_card"], "run_engines": {"news": None}},
    {"id": "0700.HK", "category": "macro"},
]
JUNK: list[Any] = [
    None,
    True,
    0,
    -1.5,
    "",
    " x ",
    "a/b",
    "news_card",
    "AAPL",
    "x" * 70,
    [],
    {},
    [[]],
    {"id": "T"},
    ["news_card", 1],
    {"a b": {}},
]


def in_the_jobs_words(documents: dict[str, str]) -> list[str]:
    config, faults, _ = read_config({name: text.encode() for name, text in documents.items()})
    _, more, _ = resolve(config)
    return sorted(map(str, [*faults, *more]))


def in_terraforms_words(
    terraform: Terraform, directory: Path, cases: dict[str, dict[str, str]]
) -> dict[str, list[str]]:
    """The faults of many configs at once: the files that find them, as a module for each."""
    module = directory / "faults"
    module.mkdir()
    for name in ("config_shapes.tf", "config_faults.tf"):
        shutil.copy(ROOT / name, module)
    (module / "documents.tf").write_text(
        'variable "documents" {\n  type = map(string)\n}\n'
        "locals {\n  config_documents = var.documents\n}\n"
        'output "faults" {\n  value = local.config_faults\n}\n'
    )
    (directory / "main.tf").write_text(
        'variable "cases" {\n  type = map(map(string))\n}\n'
        'module "case" {\n  source = "./faults"\n  for_each = var.cases\n  documents = each.value\n}\n'
        'output "faults" {\n  value = { for name, case in module.case : name => case.faults }\n}\n'
    )
    (directory / "test.auto.tfvars.json").write_text(json.dumps({"cases": cases}))
    terraform.ask(directory, "init", "-no-color")
    terraform.ask(directory, "apply", "-auto-approve", "-no-color")
    faults: dict[str, list[str]] = json.loads(terraform.ask(directory, "output", "-json", "faults"))
    return {name: sorted(faults[name]) for name in cases}


def test_the_sample_has_no_fault(terraform: Terraform, tmp_path: Path) -> None:
    assert in_the_jobs_words(SAMPLE) == []
    assert in_terraforms_words(terraform, tmp_path, {"sample": SAMPLE}) == {"sample": []}


def test_the_same_faults_in_the_same_words(terraform: Terraform, tmp_path: Path) -> None:
    merged = {case: {**SMALL, **documents} for case, documents in CASES.items()}
    cases = {
        case: {name: text for name, text in documents.items() if text is not None} for case, documents in merged.items()
    }
    expected = {case: in_the_jobs_words(documents) for case, documents in cases.items()}
    assert all(expected.values()), "every case is one of bad config"
    assert in_terraforms_words(terraform, tmp_path, cases) == expected


@pytest.mark.parametrize(("seed", "number"), [(1, 40), pytest.param(2, 300, marks=pytest.mark.slow)])
def test_the_same_faults_of_what_was_damaged_at_random(
    terraform: Terraform, tmp_path: Path, seed: int, number: int
) -> None:
    chance = random.Random(seed)
    cases = {str(index): damaged(chance) for index in range(number)}
    expected = {case: in_the_jobs_words(documents) for case, documents in cases.items()}
    assert sum(map(bool, expected.values())) > number / 2, "most damage is a fault"
    found = in_terraforms_words(terraform, tmp_path, cases)
    for case, documents in cases.items():
        assert found[case] == expected[case], documents


def damaged(chance: random.Random) -> dict[str, str]:
    """The sample, or a small config, after one to three changes at places drawn by chance."""
    simple = {**SMALL, "card_targets.json": '{"AAPL": ["news_card"], "0700.HK": ["old_card", "news_card"]}'}
    full_of_faults = {**SMALL, "card_targets.json": json.dumps(FAULTY)}
    simple_of_faults = {**SMALL, "card_targets.json": '{"AAPL": ["q", "old_card"], "0700.HK": [], "MSFT": ["q"]}'}
    drawn = chance.choice([SAMPLE, simple, full_of_faults, simple_of_faults])
    documents = {name: json.loads(text) for name, text in drawn.items()}
    for _ in range(chance.randint(1, 3)):
        name = chance.choice(sorted(documents))
        documents[name] = change(chance, documents[name])
    return {name: json.dumps(value, ensure_ascii=chance.random() < 0.5) for name, value in documents.items()}


def change(chance: random.Random, value: Any) -> Any:
    """The value with junk somewhere in it, or without something, or with something twice."""
    junk = copy.deepcopy(chance.choice(JUNK))
    if chance.random() < 0.1 or not isinstance(value, list | dict) or not value:
        return junk
    if isinstance(value, dict):
        key = chance.choice(sorted(value))
        changed = {**value, key: change(chance, value[key])}
        if chance.random() < 0.2:
            changed[chance.choice(["", "a b", "date", "target_type", "topic_key", "category", "x"])] = junk
        if chance.random() < 0.1:
            del changed[key]
        return changed
    index = chance.randrange(len(value))
    items = [*value[:index], change(chance, value[index]), *value[index + 1 :]]
    return [*items, copy.deepcopy(chance.choice(items))] if chance.random() < 0.2 else items


@pytest.mark.slow
def test_what_is_no_json_and_what_nobody_reads(terraform: Terraform, tmp_path: Path) -> None:
    """Of these the job says more (where it stops being JSON), or nothing (an object that it does not read)."""
    cases = {
        "not JSON": {**SMALL, "llm_config.json": "{", "ticker_list.json": "[NaN]"},
        "a misnamed object": {**SMALL, "card_target.json": "[]"},
        "deep": {**SMALL, "llm_config.json": "[" * 200_000},
        "large": {**SMALL, "llm_config.json": "[" + " " * (16 << 20) + "7]"},
    }
    assert in_terraforms_words(terraform, tmp_path, cases) == {
        "not JSON": ["llm_config.json: is not JSON; correct it", "ticker_list.json: is not JSON; correct it"],
        "a misnamed object": [
            "card_target.json: is no object that the job reads; correct its name or remove it",
        ],
        "deep": ["llm_config.json: is not JSON; correct it"],
        "large": ["llm_config.json: is larger than 16 MiB; write the object that is meant"],
    }

"""`plan` prints every fault of the config, or what a run would call; it sends no request itself."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from job.cli.main import main
from job.report.outcome import ExitCode
from job.storage.directory import DirectoryStore
from job.storage.store import StorageError
from job.text.messages import Message

if TYPE_CHECKING:
    from pathlib import Path

GOOD: dict[str, object] = {"ticker_list.json": ["AAPL"], "card_types.json": ["news_card"]}
UNKNOWN_TYPE = "is not a card type of card_types.json; correct it or add it there"
UNFIT_ID = "cannot be an id; leave out slashes, backslashes and control characters; no . or .."
NO_VALUE = "is not a string, a number or a boolean; write one of these"
LISTED = (
    "is not a ticker of ticker_list.json; "
    "correct it, add it to ticker_list.json, or use the full form for targets beside the tickers"
)
OPEN = "is not JSON at line 1 column 2: it ends before all brackets are closed; close them"
NO_MEANING = "has no meaning for equities_default; remove it"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if re.match(r"CLOUD_RUN_|CONFIG_URI|RUN|\w+_ENGINE_|IMPERSONATE", name):
            monkeypatch.delenv(name)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the smallest config that can be used."""
    directory = tmp_path / "place"
    directory.mkdir()
    write(directory, GOOD)
    return directory


def write(directory: Path, objects: dict[str, object]) -> None:
    for name, value in objects.items():
        data = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
        (directory / name).write_bytes(data)


def plan(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[str], list[str]]:
    """The exit code, and the lines on standard output and standard error."""
    code = main(["plan", *map(str, arguments)])
    out, err = capfd.readouterr()
    return code, out.splitlines(), err.splitlines()


# --- what a run would call ---


def test_a_plan_of_a_given_place_needs_no_variable(capfd: pytest.CaptureFixture[str], place: Path) -> None:
    write(place, {"ticker_list.json": ["AAPL", "MSFT"], "card_types.json": ["news_card", "old_card"]})
    code, out, err = plan(capfd, place)
    assert (code, err) == (ExitCode.DONE, [])
    assert out[:3] == [
        "Each engine uses its own current date (RUN_DATE is not set): 2 targets, 4 cards",
        "financial: 2 targets, 1 call",
        "  AAPL, MSFT",
    ]
    assert out[-1] == "  MSFT (equity): news_card, old_card"


def test_a_count_of_one_is_singular(
    capfd: pytest.CaptureFixture[str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUN_DATE", "2026-11-24")
    assert plan(capfd, place)[1] == [
        "Date 2026-11-24: 1 target, 1 card",
        "financial: 1 target, 1 call",
        "  AAPL",
        "trading: 1 target, 1 call",
        "  AAPL",
        "news: 1 target, 1 call",
        "  AAPL",
        "qa: 1 card, 1 call",
        "  AAPL (equity): news_card",
    ]


def test_a_target_with_a_date_of_its_own_shows_it(capfd: pytest.CaptureFixture[str], place: Path) -> None:
    write(place, {"card_targets.json": [{"id": "Rates", "date": "2026-11-20"}]})
    assert "  Rates (topic, key rates, date 2026-11-20): news_card" in plan(capfd, place)[1]


def test_the_text_shows_keys_parameters_and_each_model_once(capfd: pytest.CaptureFixture[str], place: Path) -> None:
    write(place, {"card_types.json": ["news_card", "price_card", "outlook_card"]})
    write(place, {"llm_config.json": {"default": {"backend": "gemini", "model_name": "small"}, "tasks": {
        "outlook_card": {"model_name": "large"}}}})  # fmt: skip
    fed = {
        "id": "美联储",
        "topic_key": "fed",
        "card_types": ["news_card"],
        "extra_params": {"tone": "dry", "long": True},
    }
    write(place, {"card_targets.json": [fed]})
    lines = plan(capfd, place)[1]
    assert lines[lines.index("qa: 4 cards, 4 calls") :] == [
        "qa: 4 cards, 4 calls",
        "  model small, backend gemini: news_card, price_card",
        "  model large, backend gemini: outlook_card",
        "  AAPL (equity): news_card, price_card, outlook_card",
        "  美联储 (topic, key fed, tone=dry, long=true): news_card",
    ]


@pytest.mark.parametrize("url", ["https://engine.example/v1", None])
def test_the_text_shows_no_url_and_json_shows_the_whole_url_if_it_is_known(
    capfd: pytest.CaptureFixture[str], place: Path, monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    if url:
        monkeypatch.setenv("QA_ENGINE_URL", f"{url}/")
    write(place, {"ticker_list.json": ["0700 HK"]})
    assert not [line for line in plan(capfd, place)[1] if "http" in line or "/" in line]
    code, out, err = plan(capfd, "--json", place)
    assert (code, err) == (ExitCode.DONE, [])
    shown = {line["engine"]: line["url"] for line in map(json.loads, out)}
    assert shown["qa"].startswith(f"{url or ''}/")
    assert "0700%20HK" in shown["qa"]
    assert shown["financial"].startswith("/"), "its variable is not set"


def test_without_a_place_it_reads_config_uri_and_needs_nothing_else(
    capfd: pytest.CaptureFixture[str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(place, {"tickers.json": b"a run would not look at it"})
    monkeypatch.setenv("CONFIG_URI", str(place))
    code, out, err = plan(capfd)
    assert (code, out[-1], err) == (ExitCode.DONE, "  AAPL (equity): news_card", [])


@pytest.mark.parametrize("ignored", ["/nowhere", "s3://nowhere", "un\x07printable"])
def test_with_a_place_config_uri_is_ignored(
    capfd: pytest.CaptureFixture[str], place: Path, monkeypatch: pytest.MonkeyPatch, ignored: str
) -> None:
    monkeypatch.setenv("CONFIG_URI", ignored)
    assert plan(capfd, place)[0] == ExitCode.DONE


def test_the_other_variables_apply(
    capfd: pytest.CaptureFixture[str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(place, {"ticker_list.json": ["A", "B", "C"]})
    monkeypatch.setenv("FINANCIAL_ENGINE_BATCH_SIZE", "2")
    assert plan(capfd, place)[1][1:4] == ["financial: 3 targets, 2 calls", "  A, B", "  C"]


def test_a_notice_does_not_stop_the_plan(capfd: pytest.CaptureFixture[str], place: Path) -> None:
    write(place, {"ticker_list.json": ["AAPL", "AAPL"]})
    code, _, err = plan(capfd, place)
    assert (code, err) == (ExitCode.DONE, ['ticker_list.json: [1] ("AAPL"): is there already; it counts once'])


# --- every fault ---


def test_a_faulty_variable_is_a_fault_beside_those_of_the_objects(
    capfd: pytest.CaptureFixture[str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUN_DATE", "tomorrow")
    monkeypatch.setenv("NEWS_ENGINE_URL", "news")
    write(place, {"ticker_list.json": [7], "tickers.json": []})
    code, out, err = plan(capfd, place)
    assert (code, out) == (ExitCode.USAGE, [])
    assert sorted(line.partition(":")[0] for line in err) == [
        "NEWS_ENGINE_URL",
        "RUN_DATE",
        "ticker_list.json",
        "tickers.json",
    ]


def test_faults_of_one_cause_are_one_line(capfd: pytest.CaptureFixture[str], place: Path) -> None:
    write(place, {"ticker_list.json": [f"a/{number}" for number in range(150)]})
    assert plan(capfd, place)[2] == [
        f'ticker_list.json: [0] ("a/0"), [1] ("a/1"), [2] ("a/2") and 147 more: {UNFIT_ID}'
    ]


@pytest.mark.parametrize("name", ["card_target.json", "ticker_lists.json"])
def test_an_object_that_the_job_does_not_read_is_a_fault(
    capfd: pytest.CaptureFixture[str], place: Path, name: str
) -> None:
    write(place, {name: []})
    code, _, err = plan(capfd, place)
    assert (code, err) == (
        ExitCode.USAGE,
        [f"{name}: is no object that the job reads; correct its name or remove it"],
    )


def test_only_json_files_directly_in_the_place_are_checked(capfd: pytest.CaptureFixture[str], place: Path) -> None:
    (place / "old").mkdir()
    write(place, {"README.md": b"?", "old/tickers.json": b"?"})
    assert plan(capfd, place)[0] == ExitCode.DONE


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("is_link", [False, True])
def test_an_object_that_is_not_a_file_is_a_fault_as_in_a_run(
    capfd: pytest.CaptureFixture[str], place: Path, monkeypatch: pytest.MonkeyPatch, is_link: bool, slash: str
) -> None:
    if is_link:
        (place / "llm_config.json").symlink_to("nowhere")
        what = "llm_config.json is a link to nowhere, which does not exist; correct the link or remove it"
    else:
        (place / "llm_config.json").mkdir()
        what = "llm_config.json is a directory, not a file; replace it with a file or remove it"
    code, out, err = plan(capfd, f"{place}{slash}")
    assert (code, out, err) == (ExitCode.USAGE, [], [f"{place}{slash}: {what}"])
    monkeypatch.setenv("RUN_DATE", "tomorrow")
    code, _, err = plan(capfd, place)
    assert (code, len(err)) == (ExitCode.USAGE, 2)


def test_a_place_that_cannot_be_read_now_is_not_called_faulty(
    capfd: pytest.CaptureFixture[str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise StorageError(Message("storage does not answer"))

    monkeypatch.setattr(DirectoryStore, "read", fails)
    code, out, err = plan(capfd, place)
    assert (code, out, len(err)) == (ExitCode.BUSY, [], 1)
    assert ": storage does not answer; see that it names" in err[0]


def test_a_config_uri_that_cannot_be_read_ends_as_a_run_would(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONFIG_URI", "/nowhere")
    code, _, (line,) = plan(capfd)
    assert code == ExitCode.USAGE
    assert line.startswith("CONFIG_URI: /nowhere is not a directory; see that")


@pytest.mark.parametrize(
    "place", ["", " ", "/nowhere", "/" + "a" * 5000, "gs://", "gs:///config", "s3://bucket", "a\0"]
)
def test_an_invalid_place_is_a_usage_error(capfd: pytest.CaptureFixture[str], place: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["plan", place])
    assert ended.value.code == ExitCode.USAGE
    assert "is neither gs://BUCKET/PREFIX nor a directory" in capfd.readouterr().err


# Each object beside GOOD, `None` removes one. Cases of tests/config/test_objects.py are not repeated here.
CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no object at all": (
        {"ticker_list.json": None, "card_types.json": None},
        [
            'ticker_list.json: does not exist; write an array of tickers, such as ["AAPL"], there',
            'card_types.json: does not exist; write an array of card types, such as ["news_card"], there',
        ],
    ),
    "ids that would break a line or a page": (
        {"ticker_list.json": ["a\u2028b", "<&>/", "/" + "y" * 60, "é" * 64]},
        [
            f'ticker_list.json: [0] ("a\\u2028b"), [1] ("<&>/"), [2] ("/{"y" * 37}…): {UNFIT_ID}',
        ],
    ),
    "a simple target with every odd key": (
        {"card_targets.json": {"AAPL": ["news_card", "y"], "": ["z", 1], "a: [0]": ["z"]}},
        [
            'card_targets.json: [""]: is blank; write an id',
            'card_targets.json: [""][1] (1): is not a string; write it in quotes',
            f'card_targets.json: ["a: [0]"]: {LISTED}',
            f'card_targets.json: AAPL[1]: "y" {UNKNOWN_TYPE}',
            f'card_targets.json: ["a: [0]"][0]: "z" {UNKNOWN_TYPE}',
        ],
    ),
    "simple targets whose types are all off": (
        {
            "card_types.json": [{"name": "news_card"}, {"name": "old_card", "enabled": False}],
            "card_targets.json": {"AAPL": ["old_card"]},
        },
        ["card_targets.json: leaves no card to make; enable a card type that it names"],
    ),
    "full targets whose types are all off": (
        {
            "card_types.json": [{"name": "news_card"}, {"name": "old_card", "enabled": False}],
            "card_targets.json": [
                {"id": "equities_default", "card_types": ["old_card"]},
                {"id": "T", "card_types": ["old_card"]},
            ],
        },
        ["card_targets.json: leaves no card to make; enable a card type that it names"],
    ),
    "an entry whose values are all of another kind": (
        {
            "card_targets.json": [
                {"id": "A", "card_types": {}, "target_type": 1, "category": 1, "date": 20260101},
                {"id": "B", "topic_key": "", "run_engines": [], "extra_params": []},
                {"id": "C", "date": "2026-02-30", "run_engines": {"news": "no", "trading": None}},
                {"id": "D", "date": "26-1-1", "extra_params": {"": [], "o o": {}}},
            ]
        },
        [
            'card_targets.json: [0] ("A").card_types ({}): is not an array; write an array',
            (
                "card_targets.json: [0] (\"A\").target_type (1): is not one of 'equity', 'topic' or 'person'; "
                "write one of these"
            ),
            'card_targets.json: [0] ("A").category (1): is not a string; write it in quotes',
            (
                'card_targets.json: [0] ("A").date (20260101), [2] ("C").date ("2026-02-30"), '
                '[3] ("D").date ("26-1-1"): is not a date; write "YYYY-MM-DD"'
            ),
            'card_targets.json: [1] ("B").topic_key (""): is blank; write an id',
            (
                'card_targets.json: [1] ("B").extra_params ([]), [1] ("B").run_engines ([]): '
                "is not an object; write an object"
            ),
            (
                'card_targets.json: [2] ("C").run_engines.news ("no"): '
                "is not a boolean; write true or false without quotes"
            ),
            'card_targets.json: [3] ("D").extra_params[""]: is blank; write a value or remove it',
            f'card_targets.json: [3] ("D").extra_params[""] ([]), [3] ("D").extra_params["o o"] ({{}}): {NO_VALUE}',
        ],
    ),
    "defaults of what only a target has": (
        {"card_targets.json": [{"id": "equities_default", "date": "2026-01-01", "card_types": ["q"]}]},
        [
            f"card_targets.json: [0].date: {NO_MEANING}",
            f'card_targets.json: [0] ("equities_default").card_types[0]: "q" {UNKNOWN_TYPE}',
        ],
    ),
    "models under odd names": (
        {"llm_config.json": {"default": None, "tasks": {"": {}, "a b": {"backend": " "}, "c": 7}, "x": 1}},
        [
            "llm_config.json: default (null), tasks.c (7): is not an object; write an object",
            'llm_config.json: tasks[""], tasks["a b"].backend (" "): is blank; write a value or remove it',
            "llm_config.json: x: is not a known key; correct its name or remove it",
        ],
    ),
    "what is no JSON and what nobody reads": (
        {"llm_config.json": b"{", "engine_control.json": b"[NaN]", "card_target.json": []},
        [
            "engine_control.json: is not JSON (NaN is not a number); correct it",
            f"llm_config.json: {OPEN}",
            "card_target.json: is no object that the job reads; correct its name or remove it",
        ],
    ),
}


@pytest.mark.parametrize(("objects", "faults"), CASES.values(), ids=CASES)
def test_the_exact_text_of_faulty_objects(
    capfd: pytest.CaptureFixture[str], place: Path, objects: dict[str, Any], faults: list[str]
) -> None:
    write(place, {name: value for name, value in objects.items() if value is not None})
    for name in (name for name, value in objects.items() if value is None):
        (place / name).unlink()
    assert plan(capfd, place) == (ExitCode.USAGE, [], faults)

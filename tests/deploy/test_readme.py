"""The READMEs are correct: what they tell to type exists and is understood, and their tables agree with the code."""

import importlib.util
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from job.cli.main import make_parser
from job.config.environment import ENGINE_VARIABLES, VARIABLES, Settings, read_settings
from job.config.plan import UNCONFIRMED_LIMIT
from job.day.attempt import ExitCode, Outcome
from job.day.report import MISSING_LISTED, Change, FailureGroup, MissingGroup
from job.day.result import Counts, ShutdownReason
from job.engines.answers import ANSWER_LIMIT
from job.engines.failures import Cause, FailureKind, Handling, Remedy, handling_of
from job.execution.circuit_breaker import LATE_TRIES, MAX_CHARGED_SECONDS
from job.execution.executor import QUICK_SECONDS, REPEAT_SECONDS
from job.execution.phases import FAILED_SECONDS
from job.execution.retry_policy import CHARGED_SECONDS, INITIAL_SECONDS, MAX_SECONDS
from job.execution.shutdown import BUDGETS, RECORD_SHARE
from job.execution.work_queue import FAILURE_WEIGHT
from job.orchestrator import FAILURE_SECONDS
from job.outputs.cards import COLUMNS
from job.outputs.channels import FEISHU
from job.outputs.message import SEND_SECONDS, cut, run_lines
from job.records.lease import LASTS_SECONDS, RENEW_SECONDS
from job.records.past_nights import NIGHTS_READ
from job.records.record import WRITE_RESULTS, WRITE_SECONDS
from job.records.session import RELEASE_SECONDS
from job.storage.uri import address_of
from job.telling.fields import report_json
from job.text.messages import Language, translator
from tests.simulators.job import ROOT
from tests.support.days import REFUSED, SCENES, Day, failing
from tests.support.fakes import target
from tests.tools.run_local import TROUBLES

ENGLISH = (
    "README.md",
    "job/README.md",
    "job/engines/README.md",
    "job/faults.md",
    "job/reference.md",
    "terraform/README.md",
    "tests/README.md",
)
TWINS = ("README.zh.md", "job/faults.zh.md", "terraform/README.zh.md")
PAGES = {page: (ROOT / page).read_text(encoding="utf-8") for page in (*ENGLISH, *TWINS)}
FIRST, CHINESE = PAGES["README.md"], PAGES["README.zh.md"]
JOB = "\n".join(text for page, text in PAGES.items() if page.startswith("job/"))


def coded(text: str) -> list[str]:
    """All text in backticks."""
    return re.findall(r"`([^`]+)`", text)


def table(after: str, pages: str = JOB) -> list[list[str]]:
    """The cells of the first table of the job's pages after a text, without its head."""
    rows = re.findall(r"\n((?:\|.*\n)+)", pages.partition(after)[2])[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def lines_to_type(page: str) -> list[str]:
    """Every command of a page, in fences and in running text."""
    fences = re.findall(r"```(\w+)\n(.*?)```", page, re.DOTALL)
    lines = [line.strip() for language, fence in fences if language == "sh" for line in fence.splitlines()]
    inline = re.findall(r"`((?:[A-Z_]+=\S+ )*(?:make|gcloud|terraform|python -m|start)(?: [^`]+)?)`", page)
    return [*filter(None, lines), *inline]


def commands() -> Iterator[list[str]]:
    """The words of every command of all pages, without the variables before it."""
    for line in dict.fromkeys(line for page in PAGES.values() for line in lines_to_type(page)):
        words = shlex.split(line, comments=True)
        while words and re.match(r"[A-Z_]+=", words[0]):
            words = words[1:]
        if words and not words[0].endswith("()"):  # else a function of the shell
            yield words


def command_lines_of_the_job() -> Iterator[list[str]]:
    """The arguments of each command of the job, however it is given: here, on Cloud Run, among the simulators."""
    for words in commands():
        if words[:3] == ["python", "-m", "job"]:
            yield words[3:]
        for word in words:
            name, _, given = word.partition("=")
            if name == "ARGS" and words[1] == "run-local":
                yield shlex.split(given)
            elif name in {"--args", "ARGS"}:
                sign = given[1] if given.startswith("^") else ","
                yield given.removeprefix(f"^{sign}^").split(sign)
    for cells in table("\n## Commands\n"):
        yield shlex.split(coded(cells[0])[0])


def test_the_job_understands_every_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ("PLACE", "edited"):
        (tmp_path / place).mkdir()
    given = [arguments for arguments in command_lines_of_the_job() if arguments != ["…"]]
    assert len(given) >= 20
    for arguments in given:
        make_parser().parse_args(arguments)  # exits otherwise
    listed = {coded(cells[0])[0].split()[0] for cells in table("\n## Commands\n")}
    assert listed == set(re.findall(r"^    ([a-z]+) ", make_parser().format_help(), re.MULTILINE))


def test_every_other_command_exists() -> None:
    source = (ROOT / "Makefile").read_text(encoding="utf-8")
    makefile = set(re.findall(r"^([a-z./-]+):", source, re.MULTILINE))
    named = {word for words in commands() if words[0] == "make" for word in words[1:2] if "=" not in word}
    assert named <= makefile | {".venv/ready"}
    helped = subprocess.run("make", cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = set(re.findall(r"^  make ([a-z-]+)", helped, re.MULTILINE))
    assert listed == named - {"help", ".venv/ready", ".terraform-tests/ready"}
    modules = {words[2] for words in commands() if words[:2] == ["python", "-m"]}
    assert all(importlib.util.find_spec(module) for module in modules)


def test_the_first_page_begins_with_two_commands() -> None:
    """`.ci/run` runs this block as it stands."""
    assert re.split(r"^```.*\n", FIRST, flags=re.MULTILINE)[1] == "make run-local\nmake test\n"
    faults = FIRST.partition("`FAULT` may also be ")[2].partition(".")[0]
    assert {"news", *coded(faults)} == set(TROUBLES)


@pytest.mark.parametrize("name", ["README", "job/faults", "terraform/README"])
def test_a_chinese_page_is_the_same_page(name: str) -> None:
    english, chinese = PAGES[f"{name}.md"], PAGES[f"{name}.zh.md"]
    paths = [[path.replace(".zh.", ".") for path, _ in links(page)] for page in (chinese, english)]
    assert paths[0] == paths[1]
    assert sorted(lines_to_type(chinese)) == sorted(lines_to_type(english)), "in a fence or in running text"
    levels = [re.findall(r"^#+(?= )", page, re.MULTILINE) for page in (chinese, english)]
    assert levels[0] == levels[1]
    assert rows(chinese) == rows(english)


def rows(page: str) -> list[tuple[int, list[str], list[str]]]:
    """Of every row of its tables the cells, counted, what is in backticks, and the numbers."""
    lines = re.findall(r"^\|.*$", page, re.MULTILINE)
    return [(line.count("|"), sorted(coded(line)), re.findall(r"\d+(?:,\d{3})*", line)) for line in lines]


@pytest.mark.parametrize(("page", "language"), [(FIRST, "en"), (CHINESE, "zh")], ids=["en", "zh"])
def test_the_message_is_one_that_the_job_sends(page: str, language: Language) -> None:
    targets = [target(name, ["news_card"]) for name in ("NVDA", "TSLA", *(f"T{number}" for number in range(18)))]
    start = {"job": "batch-orchestrator", "region": "asia-east1", "project": "my-project", "qa_attempts": 3}
    before = Day("2026-11-23", targets, start).play().view()
    view = Day("2026-11-24", targets, start).play(failing(REFUSED, "qa", "NVDA", "TSLA")).view(None, before.report)
    address = address_of("gs://my-project-batch-orchestrator-runs/runs", "2026-11-24/report.html")
    lines = run_lines(replace(view, page=address), read_settings({})[0])
    assert cut(list(lines), FEISHU, translator(language)) in re.findall(r"```text\n(.*?)\n```", page, re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    for path, heading in links(PAGES[page]):
        target = (ROOT / page).parent / path if path else ROOT / page
        assert path.startswith("https:") or target.exists(), path
        assert not heading or heading in headings(target.read_text(encoding="utf-8")), f"{path}#{heading}"


def links(page: str) -> list[tuple[str, str]]:
    """The file and the heading that each link leads to; a URL counts as a file."""
    return re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page)


def headings(page: str) -> list[str]:
    """The anchors that GitHub gives to the headings of a page."""
    found = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in found]


def test_where_to_change_something_exists() -> None:
    module = ""
    for word in (word for _, where in table("\nYou would not find these") for word in coded(where) if " " not in word):
        if "/" in word or word == "orchestrator":
            module = word
        else:
            assert re.search(rf"\b{word}\b", (ROOT / "job" / f"{module}.py").read_text(encoding="utf-8")), word
    packages = "|".join(path.parent.name for path in (ROOT / "job").glob("*/__init__.py"))
    modules = re.findall(rf"`((?:tests|{packages})/[\w/]+)`", JOB)
    assert len(modules) > 20
    for module in modules:
        place = ROOT / module if module.startswith("tests/") else ROOT / "job" / module
        assert place.is_dir() or place.with_suffix(".py").exists(), module


DEFAULTS = {
    "CONFIG_URI": "required",
    "RUNS_URI": "required",
    "ENGINE_URL": "required if the plan uses the engine",
    "ENGINE_AUDIENCE": "the URL's origin",
    "CLOUD_RUN_": "set by Cloud Run",
    "LOG_FORMAT": "`json` on Cloud Run (if `CLOUD_RUN_JOB` is set), else `text`",
}
"""In words, by a part of the variables' names."""


def test_the_table_of_variables_is_that_of_the_job() -> None:
    settings, _ = read_settings({})
    values = {field.validation_alias: getattr(settings, name) for name, field in Settings.model_fields.items()}
    for engine, variables in ENGINE_VARIABLES.items():
        values |= {name: getattr(settings.engines[engine], field) for field, name in variables.items()}
    rows = [(list(_all_of(coded(names))), default) for names, default, _ in table("\n## Every variable\n")]
    assert sorted(name for names, _ in rows for name in names) == sorted(VARIABLES), "each once"
    for names, default in rows:
        words = next((words for part, words in DEFAULTS.items() if part in names[0]), None)
        found = [_default(values[name]) for name in names]
        assert default == (words or (found[0] if len(set(found)) == 1 else ", ".join(found))), names


def _all_of(names: list[str]) -> Iterator[str]:
    """The variables of all engines that have it, where the table has `…`."""
    for name in names:
        ours = [one for variables in ENGINE_VARIABLES.values() for one in variables.values()]
        yield from (one for one in ours if one.endswith(name.lstrip("…"))) if name.startswith("…") else (name,)


def _default(value: object) -> str:
    """As the table has it."""
    return "none" if value is None else f"`{value}`" if isinstance(value, ZoneInfo | str) else f"{value:g}"


def test_exit_codes_and_outcomes_are_those_of_the_job() -> None:
    rows = table("\n## Exit codes\n")
    assert {int(code) for codes, _, _ in rows for code in codes.split(",")} == set(ExitCode)
    named = {word: int(codes.split(",")[0]) for codes, words, _ in rows for word in coded(words)}
    ends = {outcome: outcome.exit or named[outcome] for outcome in Outcome if outcome in named}
    assert named == ends
    states = coded(JOB.partition("In lists, a day")[2].partition(".")[0])
    assert named.keys() | states == set(Outcome)


def test_the_report_has_the_fields_that_the_reference_names() -> None:
    rows = table("\n<!-- report -->")
    stored = json.loads(report_json(SCENES["all made"]())).keys()
    named = [name for names, _ in rows for name in coded(names)]
    assert set(named) == stored
    assert len(named) == len(set(named)), "each once"
    meanings = {name: set(coded(meaning)) for names, meaning in rows for name in coded(names)}
    assert {field.name for field in fields(Counts)} <= meanings["engines"]
    assert set(MissingGroup.model_fields) <= meanings["missing"]
    assert {field.name for field in fields(FailureGroup)} <= meanings["failures"]
    assert {field.name for field in fields(Change)} <= meanings["changes"]


def test_the_columns_of_the_table_of_cards_are_in_the_reference() -> None:
    (meaning,) = [cells[2] for cells in table("\n## The record of a day\n") if "`D/cards.csv`" in cells[0]]
    assert coded(meaning) == [heading.split()[0] for heading in COLUMNS]


def test_what_follows_a_failure_is_the_table_of_the_engines_page() -> None:
    words = {"charged": FailureKind.CHARGED, "free": FailureKind.FREE, "refused": FailureKind.REFUSED}
    shown: dict[str, Handling] = {}
    for what, follows, halved, overload, remedy in table("\n## What is repeated\n"):
        put_right = Remedy(coded(remedy)[0]) if remedy else None
        handling = Handling(words[follows], halved == "yes", overload == "yes", put_right)
        names, _, _ = what.partition(":")
        for name in re.findall(r"[345]xx|[345]\d\d|`\w+`", names.partition(" but ")[0]):
            assert shown.setdefault(name.strip("`"), handling) is handling, "each once"
    causes = {*Cause} - {Cause.STATUS}
    assert {name for name in shown if not name[0].isdigit()} == causes
    for cause in causes:
        assert handling_of(cause, None) == shown[cause], cause
    for status in range(300, 600):
        assert handling_of(Cause.STATUS, status) == shown.get(f"{status}", shown[f"{status // 100}xx"]), status


def test_every_event_of_the_log_is_there() -> None:
    source = (ROOT / "job" / "outputs" / "log.py").read_text(encoding="utf-8")
    named = {name for events, _ in table("\n## The log\n") for name in coded(events)}
    assert named == set(re.findall(r'"([a-z]+\.[a-z]+)"', source))


def test_numbers_are_those_of_the_job() -> None:
    late, told = BUDGETS[ShutdownReason.DEADLINE], BUDGETS[ShutdownReason.SIGTERM]
    assert (late.cards, BUDGETS[ShutdownReason.SIGINT].cards) == (told.cards, 0)
    for words in (
        f"one of more than {ANSWER_LIMIT >> 20} MiB",
        f"{INITIAL_SECONDS:g} to {MAX_SECONDS:g} s after the one before",
        f"or {CHARGED_SECONDS:g} to {MAX_CHARGED_SECONDS:g} s if that may have been charged",
        f"and again every {REPEAT_SECONDS:g} s, log and terminal say",
        f"others come {CHARGED_SECONDS:g}, {4 * CHARGED_SECONDS:g}, {16 * CHARGED_SECONDS:g} s after a failure",
        f"batch that fails within {QUICK_SECONDS:g} s stays whole",
        f"then {LATE_TRIES} tries fail, whichever; for these, {CHARGED_SECONDS:g} s without",
        f"since a card of it was done counts {FAILURE_WEIGHT}",
        f"tries for {FAILED_SECONDS:g} s more what was not tried",
        f"above {UNCONFIRMED_LIMIT} cards it wants",
        f"every {WRITE_SECONDS:g} s or {WRITE_RESULTS} results",
        f"nobody has renewed the lease for {LASTS_SECONDS:g} s",
        f"renewed every {RENEW_SECONDS:g} s",
        f"the latest {NIGHTS_READ} days",
        f"of up to {MISSING_LISTED:,} items",
        f"cards in flight get {told.cards:g} s more, but not after Ctrl-C",
        f"record and page are closed within {told.closing * RECORD_SHARE + RELEASE_SECONDS:g} s",
        f"It is sent last, within {SEND_SECONDS + FAILURE_SECONDS:g} s",
    ):
        assert any(words in " ".join(page.split()) for page in PAGES.values()), words


def test_the_buckets_and_outputs_are_those_of_terraform() -> None:
    terraform = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "terraform").glob("*.tf"))
    (export,) = set(re.findall(r"^export RUNS_URI=.*$", FIRST, re.MULTILINE))
    for kind, given in zip(("runs", "config"), shlex.split(export)[1:], strict=True):
        assert given.endswith(f"=gs://$PROJECT-batch-orchestrator-{kind}/{kind}")
    outputs = set(re.findall(r'^output "(\w+)"', terraform, re.MULTILINE))
    named = set(re.findall(r"terraform -chdir=terraform output (?:-raw )?(\w+)", "".join(PAGES.values())))
    assert set() < named <= outputs

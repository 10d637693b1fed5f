"""The READMEs are correct: every command in them exists and works, and their tables agree with the code."""

from __future__ import annotations

import importlib.util
import inspect
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from job.config.environment import ENGINE_VARIABLES, VARIABLES, Settings, read_settings
from job.engines.failures import Cause, Failure
from job.ledger.ledger import Ledger
from job.ledger.totals import CardTotals, EngineTotals, Part
from job.notification.channels import FEISHU
from job.notification.message import cut, run_lines
from job.orchestrator import run_phases
from job.report.advice import Retry, advice
from job.report.commands import Place, page_address
from job.report.outcome import ExitCode, ending_of
from job.report.report import AttemptSummary, FailedCall, RunReport
from job.text.messages import Message, message, translator
from tests.simulators.job import ROOT
from tests.simulators.world import open_world
from tests.support.endings import report_at
from tests.support.records import Recorded
from tests.support.results import result_of
from tests.support.runs import CONFIG
from tests.tools.run_local import TROUBLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import trio

    from job.text.messages import Language

PAGES = {
    page: (ROOT / page).read_text(encoding="utf-8")
    for page in ("README.md", "README.zh.md", "job/README.md", "terraform/README.md", "tests/README.md")
}
FIRST, CHINESE, JOB, DEPLOYING = list(PAGES.values())[:4]
BOTH = pytest.mark.parametrize("page", [FIRST, CHINESE], ids=["en", "zh"])
EVERYTHING = "\n".join(PAGES.values())
SHELL = {".", "cd", "cp", "export", "mkdir", "read"}
OURS_ELSEWHERE = {"docker", "gcloud", "terraform"}
"""Commands that talk to Google or need a Docker engine: what they are given is checked, they are not run."""


def command_lines(page: str) -> list[str]:
    """Every command of a page, in fences and in running text."""
    fences = re.findall(r"```(\w*)\n(.*?)```", page, re.DOTALL)
    lines = [line for language, fence in fences if language in {"", "sh"} for line in fence.splitlines()]
    return lines + re.findall(r"`((?:[A-Z_]+=\S+ )*(?:make|mkdir|gcloud|python -m) [^`]+)`", page)


def commands() -> Iterator[list[str]]:
    """Every command of the pages, once each and without the variables before it."""
    for line in dict.fromkeys(command_lines(EVERYTHING)):
        words = shlex.split(line, comments=True)
        while words and re.match(r"[A-Z_]+=", words[0]):
            words = words[1:]
        if words:
            yield words


def test_every_make_target_exists() -> None:
    known = set(re.findall(r"^([a-z./-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {word for words in commands() if words[0] == "make" for word in words[1:2] if "=" not in word}
    assert named
    assert named <= known


@BOTH
def test_quick_start_begins_with_two_commands(page: str) -> None:
    """`.ci/run` runs the first block of the README as it stands."""
    _, first, *_ = re.split(r"^```.*\n", page, flags=re.MULTILINE)
    assert first == "make run-local\nmake test\n"
    assert "`make help`" in page


def test_every_target_that_make_help_lists_is_documented() -> None:
    helped = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^ +make ([a-z-]+)", helped, re.MULTILINE))
    assert {target for target in targets if f"make {target}" not in EVERYTHING} <= {"help", "format", "image"}


def test_every_fault_of_a_local_run_is_documented() -> None:
    others = FIRST.partition("Other values of `FAULT` are ")[2].partition(".")[0]
    assert {"news", *coded(others)} == set(TROUBLES)


def test_every_module_that_python_is_to_run_exists() -> None:
    modules = {words[2] for words in commands() if words[:2] == ["python", "-m"]}
    assert "job" in modules
    assert all(importlib.util.find_spec(module) for module in modules)


def test_every_command_of_the_job_is_documented() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "job", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = re.findall(r"^    ([a-z]+) ", shown.stdout, re.MULTILINE)
    assert len(names) >= 7
    section = JOB.partition("\n## Commands\n")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)", section, re.MULTILINE)) == sorted(names)


@pytest.mark.slow
async def test_every_command_of_the_job_runs(nursery: trio.Nursery, tmp_path: object) -> None:
    async with open_world(nursery, CONFIG | {"ticker_list.json": ["AAPL", "MSFT", "NVDA"]}) as world:
        day = datetime.now(ZoneInfo("Asia/Shanghai")).date().isoformat()
        env = {"RUNS_URI": world.runs_uri, "RUN_ID": "RUN_ID", "RUN_DATE": day, "RUN_TIME_ZONE": "Asia/Shanghai"}
        assert (await world.run_job(env=env)).exit_code == 0
        env |= world.chat.env("feishu")
        places = {"edited": world.config_uri, "$CONFIG": world.config_uri}
        ours = [words[3:] for words in commands() if words[:3] == ["python", "-m", "job"]]
        assert len(ours) >= 8
        for words in ours:
            arguments = [places.get(word, word) for word in words]
            if "--open" in arguments:
                continue  # it opens a browser; tests/runs/test_pages.py sees that it asks for one
            if {"--page", "--csv"} & set(arguments):
                arguments[-1] = f"{tmp_path}/{arguments[-1]}"
            if "--date" in arguments:
                arguments[-1] = day
            if arguments[0] == "remake":
                arguments.append("--yes")  # nobody can be asked here
            if arguments == ["plan", "PLACE"]:
                arguments = ["plan", world.config_uri]
            outcome = await world.run_job(arguments, env=env)
            assert outcome.exit_code == 0, f"{words}\n{outcome.stdout}\n{outcome.stderr}"


@pytest.mark.slow
async def test_each_command_needs_no_more_than_is_documented(nursery: trio.Nursery) -> None:
    async with open_world(nursery, CONFIG) as world:
        unset = dict.fromkeys(world.environment())
        planned = await world.run_job(["plan"], env={**unset, "CONFIG_URI": world.config_uri})
        assert planned.exit_code == 0, planned.stderr
        assert (await world.run_job(env={"RUN_ID": "night", "RUNS_URI": world.runs_uri})).exit_code == 0
        resumed = await world.run_job(["resume", "night"], env={"CONFIG_URI": None, "RUNS_URI": world.runs_uri})
        assert resumed.exit_code == 0, resumed.stdout
        for arguments in (["runs"], ["report", "night"], ["verify"]):
            ended = await world.run_job(arguments, env={**unset, "RUNS_URI": world.runs_uri})
            assert ended.exit_code == 0, ended.stderr


def test_every_other_command_is_of_a_tool_that_the_steps_ask_for() -> None:
    assert {words[0] for words in commands()} - {"make", "python"} <= SHELL | OURS_ELSEWHERE


def test_the_buckets_are_those_that_terraform_makes() -> None:
    terraform = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "terraform").glob("*.tf"))
    assert '{var.name}-runs"' in terraform
    assert '{var.name}-config"' in terraform
    assert '"gs://${google_storage_bucket.runs.name}/runs"' in terraform
    assert '"gs://${google_storage_bucket.config.name}/config"' in terraform
    (export,) = set(re.findall(r"^export RUNS_URI=.*$", FIRST, re.MULTILINE))
    assert shlex.split(export)[1:] == [
        "RUNS_URI=gs://$PROJECT-batch-orchestrator-runs/runs",
        "CONFIG=gs://$PROJECT-batch-orchestrator-config/config",
    ]


DEFAULTS_IN_WORDS = {
    "CONFIG_URI": "required",
    "RUN_ID": "that of the day's run; for a new run the execution's name, else made up",
    "ENGINE_URL": "required if the plan uses the engine",
    "ENGINE_AUDIENCE": "the URL's origin",
    "CLOUD_RUN_": "set by Cloud Run",
    "LOG_FORMAT": "`json` on Cloud Run (if `CLOUD_RUN_JOB` is set), else `text`",
}
"""By a part of the variables' names."""


def defaults() -> dict[str, object]:
    """Every variable as it is declared, and what is taken if it is not set."""
    settings, _ = read_settings({}, datetime.now(UTC))
    found = {
        field.validation_alias: getattr(settings, name)
        for name, field in Settings.model_fields.items()
        if isinstance(field.validation_alias, str)
    }
    for engine, variables in ENGINE_VARIABLES.items():
        found |= {name: getattr(settings.engines[engine], field) for field, name in variables.items()}
    return found


def default_in_words(names: list[str]) -> str:
    """The default of these variables as the table has it."""
    for part, words in DEFAULTS_IN_WORDS.items():
        if all(part in name for name in names):
            return words
    values = [defaults()[name] for name in names]
    shown = [
        f"`{value}`" if isinstance(value, ZoneInfo | str) else "none" if value is None else f"{value:g}"
        for value in values
    ]
    return shown[0] if len(set(shown)) == 1 else ", ".join(shown)


def table(mark: str) -> list[list[str]]:
    """The rows of the table between two marks of the job's README that have code in their first cell."""
    text = JOB.partition(f"<!-- {mark} -->")[2].partition(f"<!-- /{mark} -->")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.strip().splitlines()]
    return [row for row in rows if "`" in row[0]]


def coded(text: str) -> list[str]:
    """All text in backticks."""
    return re.findall(r"`([^`]+)`", text)


def test_the_table_of_variables_is_that_of_the_job() -> None:
    rows = [(coded(names), default) for names, default, _ in table("variables")]
    assert sorted(name for names, _ in rows for name in names) == sorted(defaults()), "each once"
    assert sorted(defaults()) == sorted(VARIABLES)
    for names, default in rows:
        assert default == default_in_words(names), names


def stored(part: type[Part]) -> list[str]:
    """The names of the fields that a part of the report is stored with: a message has two."""
    names: list[str] = []
    for name, field in part.model_fields.items():
        if not field.exclude:
            names += [name, f"{name}_message"] if field.annotation is Message else [name]
    return names


def test_the_table_of_the_report_has_every_field() -> None:
    rows = table("report")
    assert [name for names, _ in rows for name in coded(names)] == stored(RunReport)
    meanings = {coded(names)[0]: set(coded(meaning)) for names, meaning in rows}
    for field, part in (
        ("cards", CardTotals),
        ("engines", EngineTotals),
        ("failures", FailedCall),
        ("attempts", AttemptSummary),
    ):
        assert set(stored(part)) <= meanings[field], field


def test_every_cause_of_a_failure_is_documented() -> None:
    sentence = JOB.partition("\n`cause` is one of ")[2].partition(".")[0]
    assert set(coded(sentence)) == set(Cause)


def test_every_event_of_the_log_is_documented() -> None:
    source = (ROOT / "job" / "reporting" / "cloud_log.py").read_text(encoding="utf-8")
    section = JOB.partition("\n## The log\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    assert {name for row in rows for name in coded(row)} == set(re.findall(r'"([a-z]+\.[a-z]+)"', source))


def test_every_exit_code_is_documented() -> None:
    section = JOB.partition("\n## Exit codes\n")[2].partition("\n## ")[0]
    english = {int(code) for cell in re.findall(r"^\| ([\d, ]+) \|", section, re.MULTILINE) for code in cell.split(",")}
    assert english == set(ExitCode)
    for page in (FIRST, CHINESE):
        assert {int(code) for code in re.findall(r"`(\d+)`", page)} == english


def test_the_chinese_page_has_full_width_punctuation() -> None:
    text = re.sub(r"```.*?```", "", CHINESE, flags=re.DOTALL)
    assert len(text) > 3000
    assert re.findall(r".?[\u4e00-\u9fff][,:;!?()]|[,:;!?()][\u4e00-\u9fff].?", text) == []


@BOTH
def test_the_first_page_is_short(page: str) -> None:
    assert len(page.splitlines()) <= 155


def test_the_chinese_page_is_the_same_page() -> None:
    first, *others = links(FIRST)
    assert first == ("README.zh.md", ""), "the first line"
    assert [(name.replace(".zh.png", ".png"), part) for name, part in links(CHINESE)] == [("README.md", ""), *others]
    assert command_lines(CHINESE) == command_lines(FIRST)
    assert levels(CHINESE) == levels(FIRST)
    assert ends_of_faults(CHINESE) == ends_of_faults(FIRST)


def links(page: str) -> list[tuple[str, str]]:
    """The file and the heading that each link leads to; a URL counts as a file."""
    return re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page)


def levels(page: str) -> list[int]:
    """How deep each heading is."""
    return [
        len(marks) for marks in re.findall(r"^(#+) ", re.sub(r"```.*?```", "", page, flags=re.DOTALL), re.MULTILINE)
    ]


def ends_of_faults(page: str) -> list[str]:
    """The third column of the table of faults, which is not translated."""
    rows = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("|")]
    return [cells[2].strip() for cells in rows if len(cells) == 4 and "`" in cells[2]]


def test_how_it_works_is_the_function_itself() -> None:
    (shown,) = re.findall(r"```python\n(.*?)```", JOB, re.DOTALL)
    assert shown == inspect.getsource(run_phases)


@pytest.mark.parametrize(("page", "language"), [(FIRST, "en"), (CHINESE, "zh")], ids=["en", "zh"])
def test_the_message_is_one_that_the_job_sends(page: str, language: Language) -> None:
    shown = re.findall(r"```text\n(.*?)\n```", page, re.DOTALL)
    assert message_of_a_night(language) in shown


def message_of_a_night(language: Language) -> str:
    """What Feishu gets about a run on Cloud Run of which two of 20 cards are missing."""
    cloud = {"job": "batch-orchestrator", "region": "asia-east1", "project": "my-project"}
    tickers = ["NVDA", "TSLA", *(f"T{number}" for number in range(18))]
    inputs = Recorded("batch-orchestrator-x7k2p", tickers).inputs.model_copy(update=cloud)
    ledger = Ledger(inputs.plan())
    refused = Failure(Cause.DENIED, message("the model refused"), 200)
    for call in (call for engine in ledger.plan.engines() for call in ledger.plan.calls(engine)):
        ledger.add(result_of(call, refused if call.engine == "qa" and call.targets[0] in tickers[:2] else None))
    page = page_address("gs://my-project-batch-orchestrator-runs/runs", inputs.run_id)
    report = report_at(ending_of(ledger, None), ledger, inputs, page=page)
    steps = advice(report, Place.of(inputs), datetime.fromisoformat(inputs.started), Retry.NONE)
    settings, _ = read_settings({}, datetime.now(UTC))
    return cut(list(run_lines(report, ledger, steps, settings)), FEISHU, translator(language))


@pytest.mark.parametrize("page", PAGES)
def test_the_target_of_every_link_exists(page: str) -> None:
    found = [link for link in links(PAGES[page]) if not link[0].startswith("https:")]
    assert found
    for path, heading in found:
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), path
        assert not heading or heading in headings(target.read_text(encoding="utf-8")), f"{path}#{heading}"


def headings(page: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    return {
        re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    }


def test_every_output_of_terraform_that_is_named_exists() -> None:
    outputs = set(re.findall(r'^output "(\w+)"', (ROOT / "terraform/outputs.tf").read_text(), re.MULTILINE))
    named = set(re.findall(r"terraform -chdir=terraform output (?:-raw )?(\w+)", FIRST + DEPLOYING))
    assert named
    assert named <= outputs

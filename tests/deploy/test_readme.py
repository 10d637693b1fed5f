"""The READMEs tell the truth: what they have people run exists and works, every variable and output in them is one."""

from __future__ import annotations

import re
import shlex
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from job.config.environment import ENGINE_VARIABLES, VARIABLES, Settings, read_settings
from tests.simulators.job import ROOT
from tests.simulators.world import open_world
from tests.support.runs import CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterator

    import trio

README = (ROOT / "README.md").read_text(encoding="utf-8")
DEPLOYING = (ROOT / "terraform" / "README.md").read_text(encoding="utf-8")
OURS_ELSEWHERE = {"docker", "gcloud", "terraform", "cd"}
"""Commands that talk to Google or need a Docker engine: what they are given is checked, they are not run."""


def commands() -> Iterator[str]:
    """Every command line of the two pages, in fences and in running text, once each."""
    seen: dict[str, None] = {}
    for page in (README, DEPLOYING):
        fences = re.findall(r"```(\w*)\n(.*?)```", page, re.DOTALL)
        lines = [line for language, fence in fences if language in {"", "sh"} for line in fence.splitlines()]
        seen |= dict.fromkeys(line.partition("  #")[0].strip() for line in lines)
        seen |= dict.fromkeys(re.findall(r"`((?:make|python -m job) [^`]*|make)`", page))
    yield from (line for line in seen if re.match(r"(make|python|gcloud|docker|terraform|cd)\b", line))


def test_every_make_target_exists() -> None:
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        word for line in commands() if line.startswith("make ") for word in shlex.split(line)[1:2] if "=" not in word
    }
    assert named
    assert named <= known


def test_every_target_that_make_helps_with_is_told() -> None:
    helped = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^ +make ([a-z-]+)", helped, re.MULTILINE))
    assert {target for target in targets if f"make {target}" not in README + DEPLOYING} <= {"help", "format", "image"}


@pytest.mark.slow
async def test_every_command_of_the_job_runs(nursery: trio.Nursery, tmp_path: object) -> None:
    async with open_world(nursery, CONFIG) as world:
        env = {"RUNS_URI": world.runs_uri, "RUN_ID": "RUN_ID", "RUN_DATE": "today"}
        assert (await world.run_job(env=env)).exit_code == 0
        places = {"edited": world.config_uri, "$CONFIG": world.config_uri}
        lines = [line for line in commands() if line.startswith("python -m job")]
        assert len(lines) >= 8
        for line in lines:
            arguments = [places.get(word, word) for word in shlex.split(line)[3:]]
            if "--open" in arguments:
                continue  # it opens a browser; tests/runs/test_pages.py sees that it asks for one
            if "--page" in arguments:
                arguments[-1] = f"{tmp_path}/{arguments[-1]}"
            outcome = await world.run_job(arguments, env=env)
            assert outcome.exit_code == 0, f"{line}\n{outcome.stdout}\n{outcome.stderr}"


@pytest.mark.slow
async def test_each_command_needs_no_more_than_is_told(nursery: trio.Nursery) -> None:
    async with open_world(nursery, CONFIG) as world:
        unset = dict.fromkeys(world.environment())
        planned = await world.run_job(["plan"], env={**unset, "CONFIG_URI": world.config_uri})
        assert planned.exit_code == 0, planned.stderr
        assert (await world.run_job(env={"RUN_ID": "night", "RUNS_URI": world.runs_uri})).exit_code == 0
        for arguments in (["runs"], ["report", "night"]):
            told = await world.run_job(arguments, env={**unset, "RUNS_URI": world.runs_uri})
            assert told.exit_code == 0, told.stderr


def test_every_other_command_is_of_a_tool_that_the_steps_ask_for() -> None:
    others = {line.split()[0] for line in commands()} - {"make", "python"}
    assert others <= OURS_ELSEWHERE


VARIABLES_TABLE = ROOT / "README.md"
"""The page that has the table of variables."""
DEFAULTS_IN_WORDS = {
    "CONFIG_URI": "required",
    "RUN_ID": "the execution's name, else made up",
    "ENGINE_URL": "required where the plan uses the engine",
    "ENGINE_AUDIENCE": "the URL's origin",
    "CLOUD_RUN_": "set by Cloud Run",
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


def as_told(names: list[str]) -> str:
    """The default of these variables as the table tells it."""
    for part, words in DEFAULTS_IN_WORDS.items():
        if all(part in name for name in names):
            return words
    values = [defaults()[name] for name in names]
    told = [
        f"`{value}`" if isinstance(value, ZoneInfo) else "none" if value is None else f"{value:g}" for value in values
    ]
    return told[0] if len(set(told)) == 1 else ", ".join(told)


def test_the_table_of_variables_is_that_of_the_job() -> None:
    text = VARIABLES_TABLE.read_text(encoding="utf-8")
    table = text.partition("<!-- variables -->")[2].partition("<!-- /variables -->")[0]
    rows = [
        (re.findall(r"`([A-Z_]+)`", names), default)
        for names, default in re.findall(r"^\| (.*?) \| (.*?) \|", table, re.MULTILINE)
        if "`" in names
    ]
    assert sorted(name for names, _ in rows for name in names) == sorted(defaults()), "each once"
    assert sorted(defaults()) == sorted(VARIABLES)
    for names, default in rows:
        assert default == as_told(names), names


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 70, 75, 130, 143])
def test_every_exit_code_is_told_in_both_languages(code: int) -> None:
    english, _, chinese = README.partition("\n## 中文快速开始")
    assert re.search(rf"^\|[^|]*\b{code}\b[^|]*\|", english, re.MULTILINE)
    assert re.search(rf"`{code}`", chinese)


@pytest.mark.parametrize("page", ["README.md", "terraform/README.md"])
def test_every_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https:)([^)#]*)#?([^)]*)\)", text)
    assert links
    for path, heading in links:
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), path
        assert not heading or heading in headings(target.read_text(encoding="utf-8")), f"{path}#{heading}"


def headings(page: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    return {
        re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    }


def test_every_output_of_terraform_is_one() -> None:
    outputs = set(re.findall(r'^output "(\w+)"', (ROOT / "terraform/outputs.tf").read_text(), re.MULTILINE))
    named = set(re.findall(r"terraform -chdir=terraform output (?:-raw )?(\w+)", README + DEPLOYING))
    assert named
    assert named <= outputs

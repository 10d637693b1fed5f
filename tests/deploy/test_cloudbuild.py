"""What a merge and a pull request do: what the files say, and their scripts run with commands that only take notes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from job import __version__

ROOT = Path(__file__).resolve().parents[2]
MERGE = ROOT / "cloudbuild.yaml"
REVIEW = ROOT / "terraform" / "review.cloudbuild.yaml"
COMMIT = "c0ffee" * 6 + "c0ff"
IMAGE = "asia-east1-docker.pkg.dev/p/cards/job"
DIGEST = f"{IMAGE}@sha256:{'0123456789abcdef' * 4}"
GIVEN = {
    "_CONFIG_OWNERSHIP": "operators",
    "_IMAGE": IMAGE,
    "_STATE_BUCKET": "states",
    "_STATE_PREFIX": "cards",
    "COMMIT_SHA": COMMIT,
}
TOOLS_OWN = {"CGO_ENABLED", "DOCKER_BUILDKIT", "GOBIN", "REQUIRE", "STORAGE_EMULATOR", "TF_IN_AUTOMATION"}

# The fields of Cloud Build that are in use here: a misspelt one is refused only when a build is started.
FIELDS = {"steps", "images", "options", "substitutions", "timeout"}
STEP_FIELDS = {"id", "name", "timeout", "env", "script", "allowExitCodes", "volumes"}

both = pytest.mark.parametrize("path", [MERGE, REVIEW], ids=["merge", "review"])


def load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


# --- what the files say ---


@both
def test_fields_and_time_limits(path: Path) -> None:
    build = load(path)
    assert set(build) <= FIELDS
    limits = [int(step["timeout"].removesuffix("s")) for step in build["steps"]]
    assert all(set(step) <= STEP_FIELDS for step in build["steps"])
    assert sum(limits) <= int(build["timeout"].removesuffix("s")), "an apply could be cut off in its middle"


@both
def test_logs_go_to_cloud_logging(path: Path) -> None:
    assert load(path)["options"]["logging"] == "CLOUD_LOGGING_ONLY"


@both
def test_every_substitution_is_declared_and_used(path: Path) -> None:
    build = load(path)
    declared = build.pop("substitutions")
    used = set(re.findall(r"\$\{?(_[A-Z0-9_]+|[A-Z]+_[A-Z_]+)", yaml.safe_dump(build)))
    scripted = set(re.findall(r"\$\{?(_[A-Z0-9_]+)", "".join(step["script"] for step in build["steps"])))
    assert not scripted, "Cloud Build does not substitute in scripts"
    own = {name for step in build["steps"] for name in environment(step, {})}
    assert {name for name in used if name.startswith("_")} == set(declared)
    assert {name for name in used - own if not name.startswith("_")} <= {"COMMIT_SHA"}


@both
def test_every_variable_of_a_script_is_set_and_used(path: Path) -> None:
    for step in load(path)["steps"]:
        script, given = step["script"], set(environment(step, {}))
        used = set(re.findall(r"\$\{?([A-Za-z_]\w*)", script))
        assigned = set(re.findall(r"^\s*(\w+)=", script, re.MULTILINE))
        assert used == (given | assigned) - TOOLS_OWN, step["id"]


@both
def test_scripts_stop_at_the_first_failure(path: Path) -> None:
    for step in load(path)["steps"]:
        _, *commands = step["script"].strip().splitlines()
        assert commands[0] in {"set -eu", "set -euo pipefail"} or len(commands) == 1, step["id"]
        assert "|\n" not in step["script"] or "pipefail" in step["script"], step["id"]


def test_order_of_a_merge() -> None:
    ids = [step["id"] for step in load(MERGE)["steps"]]
    assert ids == ["emulator", "test", "build", "push", "digest", "tag", "plan", "guard", "apply"]


def test_provenance_is_required_of_what_was_pushed() -> None:
    build = load(MERGE)
    assert build["options"]["requestedVerifyOption"] == "VERIFIED"
    assert build["images"] == ["$_IMAGE:$COMMIT_SHA"]


def test_a_pull_request_ships_nothing() -> None:
    build = load(REVIEW)
    assert "images" not in build
    assert [step["id"] for step in build["steps"]] == ["emulator", "test", "plan", "guard"]


@both
def test_the_storage_emulator_is_installed_and_no_test_is_skipped_for_want_of_it(path: Path) -> None:
    emulator, test = load(path)["steps"][:2]
    assert environment(test, {})["REQUIRE"] == "emulator"
    place, _, name = environment(test, {})["STORAGE_EMULATOR"].rpartition("/")
    assert environment(emulator, {})["GOBIN"] == place
    assert emulator["volumes"] == test["volumes"] == [{"name": "tools", "path": place}]
    command = ["make", "-n", "--no-print-directory", "emulator"]  # a make around the tests would have it printed
    installed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(rf"/{name}@v[\d.]+$", installed.strip())


@both
def test_a_trigger_starts_it_with_every_substitution(path: Path) -> None:
    text = (ROOT / "terraform/build.tf").read_text(encoding="utf-8")
    assert re.search(rf'filename\s*=\s*"{re.escape(str(path.relative_to(ROOT)))}"', text)
    for name in load(path)["substitutions"]:
        assert re.search(rf"\b{name}\s*=", text)


# --- what they do ---

NOTES = """#!{python}
import json, os, sys
name, words = os.path.basename(sys.argv[0]), sys.argv[1:]
with open(os.environ["NOTES"], "a") as notes:
    print(json.dumps([name, *words]), file=notes)
if name in os.environ["FAILS"].split():
    sys.exit(1)
answers = {{"inspect": "DIGESTS", "show": "PLANNED", "output": "DEPLOYED"}}
for word in words:
    if word in answers:
        print(os.environ[answers[word]])
"""


def environment(step: dict[str, Any], substitutions: dict[str, str]) -> dict[str, str]:
    """What Cloud Build sets for a step: its `env`, with the substitutions in it."""

    def value(match: re.Match[str]) -> str:
        return substitutions.get(match[1], "")

    pairs = (re.sub(r"\$\{?(\w+)\}?", value, pair).partition("=") for pair in step.get("env", []))
    return {name: text for name, _, text in pairs}


@dataclass
class Build:
    """A Cloud Build in a folder: each script really runs, and the commands in it only record their arguments."""

    workspace: Path
    fails: str = ""
    digests: str = DIGEST
    planned: dict[str, Any] = field(default_factory=lambda: {"format_version": "1.2", "resource_changes": []})

    def run(self, path: Path) -> tuple[str | None, list[list[str]]]:
        """The step that failed, if one did, and the calls of commands."""
        tools, notes, source = (self.workspace / name for name in ("tools", "notes", "source"))
        tools.mkdir()
        for name in ("docker", "terraform", "make"):
            (tools / name).write_text(NOTES.format(python=sys.executable))
            (tools / name).chmod(0o755)
        (tools / "python").symlink_to(sys.executable)
        for part in ("job", "terraform"):
            shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__", ".terraform*"))
        failed = next(
            (step["id"] for step in load(path)["steps"] if not self._succeeds(step, tools, notes, source)), None
        )
        return failed, [json.loads(line) for line in notes.read_text().splitlines()]

    def _succeeds(self, step: dict[str, Any], tools: Path, notes: Path, source: Path) -> bool:
        script = self.workspace / step["id"]
        script.write_text(step["script"].replace("/workspace", str(self.workspace)))
        script.chmod(0o755)
        variables = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "NOTES": str(notes),
            "FAILS": self.fails,
            "DIGESTS": self.digests,
            "PLANNED": json.dumps(self.planned),
            "DEPLOYED": "the deployed image",
            **environment(step, GIVEN),
        }
        code = subprocess.run([script], cwd=source, env=variables, check=False, capture_output=True).returncode
        return code in {0, *step.get("allowExitCodes", [])}


REFUSED = {
    "format_version": "1.2",
    "resource_changes": [
        {"address": "a.b", "type": "a", "change": {"actions": ["create"], "before": None, "after": {}}},
    ],
}


def test_a_merge_ships_what_it_built_by_its_digest(tmp_path: Path) -> None:
    failed, calls = Build(tmp_path).run(MERGE)
    assert failed is None
    planned = str(tmp_path / "planned")
    assert calls[0] == ["make", "emulator"]
    assert calls[2:4] == [["make", "lint"], ["make", "test"]]
    built = next(call for call in calls if f"{IMAGE}:{COMMIT}" in call)
    assert {f"VERSION={__version__}", f"COMMIT={COMMIT}"} <= set(built)
    assert [call[2] for call in calls if call[:2] == ["docker", "push"]] == [
        f"{IMAGE}:dependencies",
        f"{IMAGE}:{COMMIT}",
        f"{IMAGE}:deployed-{COMMIT}",
        f"{IMAGE}:deployed-{COMMIT}-{DIGEST.partition('sha256:')[2][:12]}",
    ]
    init, plan, show, apply = (call[1:] for call in calls if call[0] == "terraform")
    assert {"-backend-config=bucket=states", "-backend-config=prefix=cards", "-lockfile=readonly"} < set(init)
    assert {f"-var=image={DIGEST}", f"-out={planned}"} < set(plan)
    assert show == ["show", "-json", planned]
    assert apply[-1] == planned
    assert not [word for word in apply if word.startswith("-var")]


@both
def test_the_config_is_checked_before_anything_else(tmp_path: Path, path: Path) -> None:
    """`make config-check` knows what to do with a fault: see terraform/test_make.py."""
    assert Build(tmp_path).run(path)[1][1] == ["make", "config-check", "CONFIG_OWNERSHIP=operators"]


def test_the_cache_is_what_an_earlier_build_pushed(tmp_path: Path) -> None:
    calls = Build(tmp_path).run(MERGE)[1]
    (cached,) = [call for call in calls if "--cache-from" in call]
    assert cached[cached.index("--cache-from") + 1] == f"{IMAGE}:dependencies"
    assert cached[cached.index("--target") + 1] == "dependencies"
    assert "BUILDKIT_INLINE_CACHE=1" in cached


def test_what_the_guard_refuses_is_not_applied(tmp_path: Path) -> None:
    failed, calls = Build(tmp_path, planned=REFUSED).run(MERGE)
    assert failed == "guard"
    assert ["docker", "push", f"{IMAGE}:deployed-{COMMIT}"] in calls, "a person is to apply this very digest"
    assert not [call for call in calls if "apply" in call]


@pytest.mark.parametrize(
    ("fails", "step", "commands"), [("make", "emulator", {"make"}), ("docker", "build", {"make", "docker"})]
)
def test_no_command_runs_after_one_that_failed(tmp_path: Path, fails: str, step: str, commands: set[str]) -> None:
    failed, calls = Build(tmp_path, fails=fails).run(MERGE)
    assert failed == step
    assert {call[0] for call in calls} == commands


@pytest.mark.parametrize("digests", ["", f"{IMAGE}:{COMMIT}", f"elsewhere/{DIGEST}"])
def test_nothing_but_a_digest_of_this_repository_is_planned(tmp_path: Path, digests: str) -> None:
    failed, calls = Build(tmp_path, digests=digests).run(MERGE)
    assert failed == "digest"
    assert "terraform" not in {call[0] for call in calls}


def test_a_pull_request_plans_without_a_lock(tmp_path: Path) -> None:
    failed, calls = Build(tmp_path, planned=REFUSED).run(REVIEW)
    assert failed is None, "a plan that a person has to apply is no fault of the pull request"
    assert {call[0] for call in calls} == {"make", "terraform"}
    assert ["make", "test-all"] in calls, "the slow tests as well"
    assert not [call for call in calls if "apply" in call]
    (plan,) = [call for call in calls if call[:2] == ["terraform", "plan"]]
    assert {"-lock=false", "-var=image=the deployed image"} < set(plan)

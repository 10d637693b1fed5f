"""No edit of the config is lost silently, whether it was made in the bucket or in the repository."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from terraform.tools import config_objects
from terraform.tools.plan import OBJECT, Plan
from tests.simulators.storage import Emulator, emulator_binary, open_emulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).resolve().parents[2]
OLD, NEW, EDIT = (json.dumps(tickers) + "\n" for tickers in (["600519"], ["600519", "000001"], ["300750"]))


# --- pull and diff, on a directory in the bucket's place ---


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    path = tmp_path / "bucket"
    path.mkdir()
    (path / "ticker_list.json").write_text(EDIT)
    (path / "llm_config.json").write_text("{}")
    return path


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "repository"
    path.mkdir()
    (path / "ticker_list.json").write_text(OLD)
    (path / "card_types.json").write_text("[]")
    monkeypatch.setattr(config_objects, "CONFIG", path)
    return path


def test_pull_brings_what_the_bucket_has(bucket: Path, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert config_objects.main(["pull", str(bucket)]) == 0
    files = {path.name: path.read_text() for path in repository.iterdir()}
    assert files == {"ticker_list.json": EDIT, "llm_config.json": "{}", "card_types.json": "[]"}
    assert capsys.readouterr().out.splitlines() == [
        "llm_config.json: new",
        "ticker_list.json: changed",
        "card_types.json: not in the bucket, left as it is",
    ]
    assert config_objects.main(["pull", str(bucket)]) == 0
    assert capsys.readouterr().out == "card_types.json: not in the bucket, left as it is\n"


def test_diff_shows_what_an_apply_would_make_of_the_bucket(
    bucket: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert config_objects.main(["diff", str(bucket)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "--- bucket/card_types.json",
        "+++ repository/card_types.json",
        "@@ -0,0 +1 @@",
        "+[]",
        "Only in the bucket, so an apply leaves it: llm_config.json",
        "--- bucket/ticker_list.json",
        "+++ repository/ticker_list.json",
        "@@ -1 +1 @@",
        '-["300750"]',
        '+["600519"]',
    ]


def test_diff_is_silent_if_both_are_the_same(
    bucket: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bucket / "card_types.json").write_text("[]")
    config_objects.main(["pull", str(bucket)])
    capsys.readouterr()
    assert config_objects.main(["diff", str(bucket)]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("theirs", [OLD.rstrip("\n").encode(), OLD.replace("\n", "\r\n").encode()])
def test_diff_reports_differences_that_lines_do_not_show(
    bucket: Path, repository: Path, capsys: pytest.CaptureFixture[str], theirs: bytes
) -> None:
    (bucket / "ticker_list.json").write_bytes(theirs)
    assert config_objects.main(["diff", str(bucket)]) == 1
    assert "Differs in what the lines do not show: ticker_list.json" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [[], ["pull"], ["push", "x"], ["pull", "/nowhere/at/all"], ["diff", "s3://bucket"]]
)
def test_invalid_arguments_exit_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert config_objects.main(arguments) == 2
    assert capsys.readouterr().err


@pytest.mark.parametrize("what", ["pull", "diff"])
def test_before_the_first_apply_there_is_no_bucket(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No output names a bucket yet, so make passes none; the current directory must not be used instead."""
    assert config_objects.main([what, ""]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "make apply" in printed.err


# --- the guard of an apply, on a real storage emulator ---


def change(
    actions: list[str],
    before: str | None,
    after: str | None,
    *,
    name: str = "config/ticker_list.json",
    resource: str = "owned",
    policy: str | None = None,
) -> dict[str, Any]:
    """Returns an object's change in a plan; the contents are those of the state and of the plan."""
    sides = [
        None if text is None else {"bucket": "cards", "name": name, "content": text, "deletion_policy": policy}
        for text in (before, after)
    ]
    planned = {"actions": actions, "before": sides[0], "after": sides[1]}
    return {"address": f'{OBJECT}.{resource}["{name}"]', "type": OBJECT, "change": planned}


def plan(*changes: dict[str, Any], drift: tuple[dict[str, Any], ...] = ()) -> Plan:
    return {"format_version": "1.2", "resource_changes": list(changes), "resource_drift": list(drift)}


ABANDONED = change(["delete"], OLD, None, resource="seeded", policy="ABANDON")
REFRESHED = change(["update"], OLD, OLD)
BUCKET_TO_COME = {"type": "google_storage_bucket", "change": {"actions": ["create"], "after": {"name": "cards"}}}

CASES = {
    "nothing there yet": (None, plan(change(["create"], None, NEW)), 0),
    "as Terraform wrote it": (OLD, plan(change(["update"], OLD, NEW)), 0),
    "edited": (EDIT, plan(change(["update"], OLD, NEW)), 1),
    "edited while the repository stayed": (EDIT, plan(change(["update"], OLD, OLD)), 1),
    "edited to what the repository says": (NEW, plan(change(["update"], OLD, NEW)), 0),
    "edited, and nothing is written": (EDIT, plan(change(["no-op"], OLD, OLD)), 0),
    "edited, and it would be deleted": (EDIT, plan(change(["delete"], OLD, None)), 1),
    "edited, and it would be replaced": (EDIT, plan(change(["delete", "create"], OLD, NEW)), 1),
    "unedited, and it would be deleted": (OLD, plan(change(["delete"], OLD, None)), 0),
    "deleted by somebody": (None, plan(change(["create"], None, NEW)), 0),
    "put there by somebody before Terraform": (EDIT, plan(change(["create"], None, NEW)), 1),
    "from operators to Terraform, unedited": (OLD, plan(ABANDONED, change(["create"], None, NEW)), 0),
    "from operators to Terraform, edited": (EDIT, plan(ABANDONED, change(["create"], None, NEW)), 1),
    "from Terraform to operators, edited": (
        EDIT,
        plan(change(["delete"], OLD, None), change(["create"], None, OLD, resource="seeded")),
        1,
    ),
    "left to the operators": (EDIT, plan(ABANDONED), 0),
    "the refresh read it back": (EDIT, plan(change(["update"], EDIT, NEW), drift=(REFRESHED,)), 1),
    "another object than the edited": (EDIT, plan(change(["update"], OLD, NEW, name="config/llm_config.json")), 0),
}


@pytest.fixture
async def emulator(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Emulator]:
    binary = emulator_binary()
    assert binary is not None
    async with open_emulator(binary) as running:
        await running.create_bucket("cards")
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", running.url)
        yield running


EACH = """
import json, sys
from terraform.tools import config_objects
for plan in json.load(sys.stdin):
    print(config_objects.guard(plan))
"""


async def python(*arguments: str, stdin: object = None, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Runs Python in a process of its own, as the storage library closes its connections only when its process ends."""
    environment = {**os.environ, "GOOGLE_CLOUD_PROJECT": "p", **variables}
    run = partial(trio.run_process, cwd=ROOT, env=environment, check=False, capture_stdout=True, capture_stderr=True)
    return await run([sys.executable, *arguments], stdin=json.dumps(stdin).encode())


@pytest.mark.needs("emulator")
async def test_guard_says_which_edit_would_be_lost(emulator: Emulator) -> None:
    """Tries all cases in one process, each in a bucket of its own, since the library takes half a second to start."""
    plans = []
    for number, (there, planned, _) in enumerate(CASES.values()):
        bucket = f"cards-{number}"
        await emulator.create_bucket(bucket)
        if there is not None:
            await emulator.put(bucket, "config/ticker_list.json", there.encode())
        plans.append(json.loads(json.dumps(planned).replace('"cards"', f'"{bucket}"')))
    done = await python("-c", EACH, stdin=plans)
    found = dict(zip(CASES, done.stdout.split(), strict=True))
    assert found == {case: str(code).encode() for case, (_, _, code) in CASES.items()}
    lost = [number for number, (_, _, code) in enumerate(CASES.values()) if code]
    said = [line for line in done.stderr.decode().splitlines() if "gs://" in line]
    assert said == [f"  gs://cards-{number}/config/ticker_list.json" for number in lost]


@pytest.mark.needs("emulator")
@pytest.mark.parametrize(("overwrite", "code"), [("", 1), ("0", 1), ("1", 0)])
async def test_overwriting_needs_an_explicit_option(emulator: Emulator, overwrite: str, code: int) -> None:
    await emulator.put("cards", "config/ticker_list.json", EDIT.encode())
    edited = plan(change(["update"], OLD, NEW))
    done = await python("-m", "terraform.tools.config_objects", "guard", stdin=edited, OVERWRITE=overwrite)
    assert done.returncode == code


@pytest.mark.needs("emulator")
async def test_pull_from_a_bucket(emulator: Emulator, repository: Path) -> None:
    await emulator.put("cards", "config/ticker_list.json", EDIT.encode())
    await emulator.put("cards", "config/deeper/llm_config.json", NEW.encode())
    pull = (
        "import sys, pathlib; from terraform.tools import config_objects as it; it.CONFIG = pathlib.Path(sys.argv[1]); "
    )
    done = await python("-c", pull + "it.main(sys.argv[2:])", str(repository), "pull", "gs://cards/config")
    assert done.stdout.splitlines()[0] == b"ticker_list.json: changed"
    assert (repository / "ticker_list.json").read_text() == EDIT
    assert not (repository / "llm_config.json").exists()


def test_a_bucket_that_does_not_exist_yet_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")  # nobody answers there
    fresh = plan(change(["create"], None, NEW))
    fresh["resource_changes"].append(BUCKET_TO_COME)
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(fresh)))
    assert config_objects.main(["guard"]) == 0


def test_an_invalid_plan_is_never_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("", "{}", '{"resource_changes": [{}]}', '{"resource_changes": 1}'):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        assert config_objects.main(["guard"]) == 2

"""The image, built from this checkout, holds the job and nothing else, and runs read-only under any user id.

With Docker where there is one; else with the commands that IMAGE_BUILD (`CONTEXT TAG [option]…`) and IMAGE_RUN
(`TAG [option]… [-- argument…]`) name, whose options are Docker's.
"""

import json
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio

from job import __version__
from tests.simulators.seen import Seen
from tests.simulators.storage import emulator_binary
from tests.simulators.world import World, open_world
from tests.support.environment import SHELL
from tests.support.needs import has_docker

pytestmark = [pytest.mark.slow, pytest.mark.needs("image"), pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "c0ffee" * 6 + "c0ff"
STAMP = ["--build-arg", f"VERSION={__version__}", "--build-arg", f"COMMIT={COMMIT}"]
CONFIG = {"ticker_list.json": ["600519", "000001"], "card_types.json": ["news_card", "price_card"]}


@dataclass(frozen=True)
class Built:
    """An image and its metadata, as reported by the tool that built it."""

    tag: str
    megabytes: float
    user: str
    entrypoint: list[str]
    labels: dict[str, str]


class Docker:
    """The real one."""

    def build(self, context: Path, tag: str, *options: str) -> Built:
        subprocess.run(
            ["docker", "build", "--tag", tag, *options, str(context)], check=True, capture_output=True, env=SHELL
        )
        inspected = subprocess.run(["docker", "image", "inspect", tag], check=True, capture_output=True, env=SHELL)
        (image,) = json.loads(inspected.stdout)
        config = image["Config"]
        return Built(tag, image["Size"] / 1e6, config["User"], config["Entrypoint"], config["Labels"] or {})

    def run(self, tag: str, options: list[str], arguments: list[str]) -> list[str]:
        safe = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=host"]
        return ["docker", "run", "--rm", *safe, *options, tag, *arguments]


class Named:
    """The commands that the environment names instead of Docker."""

    def build(self, context: Path, tag: str, *options: str) -> Built:
        command = [os.environ["IMAGE_BUILD"], str(context), tag, *options]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=SHELL)
        said = dict(re.findall(r"^(size|user|entrypoint|labels) +(.+)$", done.stdout, re.MULTILINE))
        described = (json.loads(said[name]) for name in ("entrypoint", "labels"))
        return Built(tag, float(said["size"].removesuffix(" MB")), said["user"], *described)

    def run(self, tag: str, options: list[str], arguments: list[str]) -> list[str]:
        return [os.environ["IMAGE_RUN"], tag, *options, "--", *arguments]


@pytest.fixture(scope="module")
def tool() -> Docker | Named:
    return Docker() if has_docker() else Named()


@pytest.fixture(scope="module")
def image(tool: Docker | Named) -> Built:
    try:
        return tool.build(ROOT, "batch-orchestrator:test", *STAMP)
    except subprocess.CalledProcessError as error:
        pytest.fail(f"{error}\n{error.stderr[-4000:]}")


# --- what it says of itself ---


def test_names_its_commit_and_is_started_without_a_shell_by_a_user_without_a_name(image: Built) -> None:
    assert image.labels["org.opencontainers.image.version"] == __version__
    assert image.labels["org.opencontainers.image.revision"] == COMMIT
    assert image.entrypoint == ["python", "-m", "job"]
    assert image.user == "10001:10001"


@pytest.mark.parametrize(("version", "commit"), [("9.9.9", COMMIT), (__version__, "")])
def test_an_invalid_version_or_commit_fails_the_build(
    tool: Docker | Named, image: Built, version: str, commit: str
) -> None:
    stamp = ["--build-arg", f"VERSION={version}", "--build-arg", f"COMMIT={commit}"]
    with pytest.raises(subprocess.CalledProcessError):
        tool.build(ROOT, "batch-orchestrator:wrong", *stamp)


def test_adds_less_than_90_mb_to_its_base(tool: Docker | Named, image: Built, tmp_path: Path) -> None:
    (base,) = re.findall(r"^ARG PYTHON=(.+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    (tmp_path / "Dockerfile").write_text(f"FROM {base}\n")
    alone = tool.build(tmp_path, "batch-orchestrator:base")
    assert 20 < image.megabytes - alone.megabytes < 90


# --- what is in it ---

LOOK = """
import importlib.metadata, importlib.util, json, os, pathlib, shutil, sys

def writable(place):
    try:
        (pathlib.Path(place) / "probe").touch()
    except OSError:
        return False
    return True

def bytecode(source):
    compiled = pathlib.Path(importlib.util.cache_from_source(source))
    # 1: by the source's hash, 2: compared with it.
    return int.from_bytes(compiled.read_bytes()[4:8], "little") if compiled.exists() else None

folders = [pathlib.Path(folder) for folder in ("/app", "/venv", "/usr/local", "/home", "/opt", "/srv")]
files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
ours = [str(file) for file in files if file.suffix == ".py" and file.parts[1] in ("app", "venv")]
print(json.dumps({
    "app": sorted(str(file) for file in files if file.parts[1] == "app" and "__pycache__" not in file.parts),
    "packages": sorted(found.name.lower() for found in importlib.metadata.distributions()),
    "tests": [str(file) for file in files if file.parts[1] != "usr" and {"tests", "_tests"} & set(file.parts)],
    "caches": [str(file) for file in files if ".cache" in file.parts or file.suffix == ".whl"],
    "tools": [name for name in sys.argv[1:] if shutil.which(name)],
    "bytecode": {source: bytecode(source) for source in ours},
    "writable": [place for place in ("/app", "/app/job", "/venv", "/tmp", "/") if writable(place)],
    "user": os.getuid(),
}))
"""
BUILD_TOOLS = ["pip", "pip3", "uv", "cc", "gcc", "g++", "clang", "ld", "make", "cargo", "go", "git"]


@pytest.fixture(scope="module")
def inside(tool: Docker | Named, image: Built) -> dict[str, Any]:
    command = tool.run(image.tag, ["--entrypoint", "python"], ["-c", LOOK, *BUILD_TOOLS])
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)  # type: ignore[no-any-return]


def test_holds_the_job_and_nothing_else_of_the_repository(inside: dict[str, Any]) -> None:
    tracked = subprocess.run(["git", "ls-files", "job"], cwd=ROOT, check=True, capture_output=True, text=True)
    names = {name for name in tracked.stdout.split() if not name.endswith(".md")} | {"job/COMMIT"}
    assert inside["app"] == sorted(f"/app/{name}" for name in names)


def test_holds_what_is_locked_and_nothing_else(inside: dict[str, Any]) -> None:
    locked = re.findall(r"^([a-z0-9-]+)==", (ROOT / ".locks/runtime.txt").read_text(encoding="utf-8"), re.MULTILINE)
    found = {re.sub(r"[._]", "-", name) for name in inside["packages"]}
    assert found <= set(locked)
    assert {"google-auth", "google-cloud-storage", "httpx", "pydantic", "rich", "trio"} <= found


def test_holds_no_tools_caches_or_tests_and_runs_without_rights(inside: dict[str, Any]) -> None:
    assert inside["tools"] == []
    assert inside["caches"] == []
    assert inside["tests"] == []
    assert inside["user"] == 10001
    assert inside["writable"] == ["/tmp"]


def test_everything_is_compiled_and_never_compared_with_its_source(inside: dict[str, Any]) -> None:
    assert len(inside["bytecode"]) > 500
    assert {source: flags for source, flags in inside["bytecode"].items() if flags != 1} == {}


# --- what it does ---


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, CONFIG, emulator=emulator_binary()) as opened:
        yield opened


def running(tool: Docker | Named, image: Built, world: World) -> list[str]:
    """The command that runs the image in this world: on buckets, or without an emulator on a folder's config."""
    if world.storage:
        places, mount = {"CONFIG_URI": world.config_uri, "RUNS_URI": world.runs_uri}, []
    else:
        places, mount = {"CONFIG_URI": "/config"}, ["--volume", f"{world.directory / 'config'}:/config:ro"]
    variables = world.environment(**{"PATH": None, "HOME": None, "LOG_FORMAT": "json", **places})
    settings = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
    return tool.run(image.tag, [*mount, *settings], [])


async def test_does_a_whole_run(tool: Docker | Named, image: Built, world: World) -> None:
    done = await trio.run_process(running(tool, image, world), capture_stdout=True, check=False)
    finished = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 0, done.stdout.decode()
    assert finished["event"] == "run.finished"
    assert finished["cards"]["done"] == 4
    agents = {seen.headers["user-agent"] for service in world.engines.values() for seen in service.seen}
    (agent,) = {agent for agent in agents if agent.startswith("batch-orchestrator/")}
    assert __version__ in agent
    assert COMMIT in agent


async def test_sigterm_reaches_the_job(tool: Docker | Named, image: Built, world: World) -> None:
    asked = trio.Event()

    def never(_seen: Seen) -> float:
        asked.set()
        return 3600.0

    for service in world.engines.values():
        service.latency = never
    process = await trio.lowlevel.open_process(running(tool, image, world), stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        with trio.fail_after(60):
            await asked.wait()
            process.send_signal(signal.SIGTERM)
            output = b"".join([data async for data in process.stdout])
            assert await process.wait() == 143, output.decode()
    finally:
        process.terminate()
        await process.stdout.aclose()
    finished = json.loads(output.splitlines()[-1])
    assert (finished["outcome"], finished["exit_code"]) == ("interrupted", 143)

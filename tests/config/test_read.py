"""Every fault of a start is found before anything is called; a config that storage does not give is no faulty one."""

import json
import resource
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest

from job.config.environment import Options, raise_open_file_limit, read_settings
from job.config.faults import ConfigError, Fault, FaultKind
from job.config.read import read_config
from job.storage.directory import DirectoryStore
from job.storage.store import StorageError, UnreachableError
from job.text.messages import Message, message
from tests.support.records import DAY, NOW, URLS, config

FAULT = Fault("RUN_TIME_ZONE", Message("is wrong"), Message("correct it"))


def request(uri: str, *faults: Fault, **asked: Any) -> Options:
    settings, found = read_settings({"CONFIG_URI": uri, **URLS})
    return Options(settings, [*found, *faults], NOW, time.monotonic(), **asked)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, text in config(["AAPL", "MSFT"]).items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_soft_limit_of_open_files_is_raised_to_the_hard_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 200))
    monkeypatch.setattr(resource, "setrlimit", lambda *given: asked.append(given))
    raise_open_file_limit()
    assert asked == [(resource.RLIMIT_NOFILE, (200, 200))]


# --- no fault causes another one, and none hides one of its kind ---

VARIABLE = "QA_ENGINE_TIMEOUT"
BAD = {"ticker_list.json": [" AAPL", 7], "card_types.json": [{"name": "news_card", "enabled": "yes"}]}
UNKNOWN = {"card_targets.json": {"AAPL": ["nope"], "NVDA": ["news_card"]}}


@pytest.mark.parametrize(
    ("objects", "variables", "told"),
    [
        pytest.param({}, {VARIABLE: "x", "QA_ENGINE_URL": "x"}, ["QA_ENGINE_URL", VARIABLE, "--again"], id="variables"),
        pytest.param({}, {"QA_ENGINE_URL": ""}, ["QA_ENGINE_URL", "--again"], id="needed"),
        pytest.param(
            BAD, {VARIABLE: "x"}, [VARIABLE, "ticker_list.json", "ticker_list.json", "card_types.json"], id="both"
        ),
        pytest.param(
            BAD | UNKNOWN,
            {"QA_ENGINE_URL": ""},
            ["ticker_list.json", "ticker_list.json", "card_types.json"],
            id="caused",
        ),
        pytest.param(UNKNOWN, {"QA_ENGINE_URL": ""}, [*["card_targets.json"] * 2, "QA_ENGINE_URL"], id="between"),
    ],
)
async def test_faults_of_variables_and_of_one_kind_in_objects_are_told_together(
    place: Path, objects: dict[str, object], variables: dict[str, str], told: list[str]
) -> None:
    for name, value in objects.items():
        (place / name).write_text(json.dumps(value))
    settings, faults = read_settings({"CONFIG_URI": str(place), **URLS, **variables})
    with pytest.raises(ConfigError) as error:
        await read_config(Options(settings, faults, NOW, time.monotonic(), again=("TSLA",)), DAY)
    assert [str(fault.where).partition(":")[0] for fault in error.value.faults] == told


@pytest.mark.parametrize(
    ("asked", "options"),
    [
        pytest.param({"again": ("MSFT", "NVDA"), "without": ("MSFT",)}, ["--again"] * 2, id="again what is left out"),
        pytest.param({"again": ("NVDA",), "without": ("TSLA",)}, ["--without", "--again"], id="both unknown"),
        pytest.param({"without": ("AAPL", "MSFT")}, ["--without"], id="all left out"),
    ],
)
async def test_faults_of_the_command_come_last(place: Path, asked: dict[str, Any], options: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        await read_config(request(str(place), **asked), DAY)
    assert [fault.where for fault in error.value.faults] == options
    assert {fault.kind for fault in error.value.faults} == {FaultKind.COMMAND}


@pytest.mark.parametrize("kind", [UnreachableError, StorageError])
@pytest.mark.parametrize("others", [(), (FAULT,)])
async def test_only_an_outage_beside_no_fault_that_lasts_is_not_a_fault_of_the_config(
    kind: type[StorageError], others: tuple[Fault, ...], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> NoReturn:
        raise kind(message("gs://bucket/config/a: 503"))

    monkeypatch.setattr(DirectoryStore, "read", fails)
    with pytest.raises((StorageError, ConfigError)) as error:
        await read_config(request(str(place), *others), DAY)
    if kind is UnreachableError and not others:
        assert isinstance(error.value, StorageError)
        assert (error.value.place, str(error.value)) == ("CONFIG_URI", "gs://bucket/config/a: 503")
        return
    assert isinstance(error.value, ConfigError)
    *before, last = error.value.faults
    remedy = "try again later" if kind is UnreachableError else "check that it is gs://"
    assert (tuple(before), last.kind) == (others, FaultKind.STORAGE)
    assert str(last).startswith(f"CONFIG_URI: gs://bucket/config/a: 503; {remedy}")

"""Every fault of a start is found before anything is called; a config that storage does not give is no faulty one."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest

from job.config import read as module
from job.config.environment import Options, read_settings
from job.config.faults import ConfigError, Fault, FaultKind
from job.config.read import UnreadConfigError, read_config, too_few_files
from job.storage.store import StorageError, UnreachableError
from job.text.messages import Message, message
from tests.simulators.job import ROOT
from tests.support.fakes import plan_of, target
from tests.support.records import DAY, NOW, config

URLS = {f"{name}_ENGINE_URL": f"https://{name.lower()}.example" for name in ("FINANCIAL", "TRADING", "NEWS", "QA")}
FAULT = Fault("RUN_TIME_ZONE", Message("is wrong"), Message("correct it"))


def request(uri: str, *faults: Fault, **asked: Any) -> Options:
    settings, found = read_settings({"CONFIG_URI": uri, **URLS})
    return Options(settings, [*found, *faults], NOW, time.monotonic(), **asked)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, text in config(["AAPL", "MSFT"]).items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_soft_limit_of_open_files_is_raised_to_the_hard_one() -> None:
    program = """
import resource
from job.config.environment import open_file_limit, raise_open_file_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
raise_open_file_limit()
print(resource.getrlimit(resource.RLIMIT_NOFILE), open_file_limit())
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "(200, 200) 200\n"


async def test_a_limit_of_open_files_that_is_too_low_for_anything_has_to_be_raised(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data engines need theirs at the same time."""
    monkeypatch.setattr(module, "open_file_limit", lambda: 60)
    with pytest.raises(ConfigError) as error:
        await read_config(request(str(place)), DAY)
    data = "FINANCIAL_ENGINE_CONCURRENCY, TRADING_ENGINE_CONCURRENCY, NEWS_ENGINE_CONCURRENCY"
    assert list(map(str, error.value.faults)) == [
        f"{where}: needs {needed} open files, and this process may have 60; raise the hard limit (ulimit -Hn)"
        for where, needed in ((data, 70), ("QA_ENGINE_CONCURRENCY", 66))
    ]


def test_of_a_limit_that_is_too_low_for_a_variable_it_is_said_what_it_allows() -> None:
    settings, _ = read_settings({"CONFIG_URI": "config", "QA_ENGINE_CONCURRENCY": "1000"})
    plan = plan_of([target(str(number)) for number in range(2000)])
    assert too_few_files(plan, settings, 1064) == []
    (fault,) = too_few_files(plan, settings, 1063)
    assert str(fault) == (
        "QA_ENGINE_CONCURRENCY: needs 1,064 open files, and this process may have 1,063; "
        "raise the hard limit (ulimit -Hn), or lower this to 999 in all"
    )


@pytest.mark.parametrize(
    ("targets", "missing"),
    [
        ([{"id": "AAPL", "run_engines": {"financials": False}, "dat": 1}], True),  # there is MSFT as well
        ([{"id": "X", "dat": 1}], True),
        ([{"id": "equities_default", "run_engines": {"financials": False}, "dat": 1}, {"id": "AAPL"}], False),
        ([{"run_engines": {"financials": False}}], False),
        ([7, {"id": "X", "target_type": "equity"}], True),
    ],
)
async def test_no_url_is_required_for_an_engine_that_an_unreadable_entry_may_have_switched_off(
    place: Path, targets: object, missing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(URLS, "FINANCIAL_ENGINE_URL")
    (place / "card_targets.json").write_text(json.dumps(targets))
    with pytest.raises(ConfigError) as error:
        await read_config(request(str(place)), DAY)
    expected = ["card_targets.json"] + ["FINANCIAL_ENGINE_URL"] * missing
    assert [str(fault).partition(":")[0] for fault in error.value.faults] == expected


UNKNOWN = '--again: the config does not ask for "NVDA"'


@pytest.mark.parametrize(
    ("asked", "faults"),
    [
        (
            {"again": ("MSFT", "NVDA"), "without": ("MSFT",)},
            ['--again: "MSFT" is also left out by --without; name it in only one of the two', UNKNOWN],
        ),
        ({"again": ("NVDA",), "without": ("TSLA",)}, ['--without: "TSLA" is no target of the config', UNKNOWN]),
        ({"without": ("AAPL", "MSFT")}, ["--without: leaves nothing to do"]),
    ],
    ids=["again what is left out", "both unknown", "all left out"],
)
async def test_faults_of_the_command_are_found_when_the_config_has_none(
    place: Path, asked: dict[str, Any], faults: list[str]
) -> None:
    with pytest.raises(ConfigError) as error:
        await read_config(request(str(place), **asked), DAY)
    assert all(str(fault).startswith(said) for fault, said in zip(error.value.faults, faults, strict=True))
    assert {fault.kind for fault in error.value.faults} == {FaultKind.COMMAND}


class Failing:
    def __init__(self, error: StorageError) -> None:
        self.error = error

    def read(self, _name: str, _limit: int | None = None) -> NoReturn:
        raise self.error


@pytest.fixture(params=[UnreachableError, StorageError])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[StorageError]:
    made: type[StorageError] = request.param
    monkeypatch.setattr(module, "open_store", lambda _uri: Failing(made(message("gs://bucket/config/a: 503"))))
    return made


async def test_only_an_outage_is_not_a_fault_of_the_config(kind: type[StorageError]) -> None:
    with pytest.raises((UnreadConfigError, ConfigError)) as error:
        await read_config(request("gs://bucket/config"), DAY)
    if kind is UnreachableError:
        assert str(error.value) == "gs://bucket/config/a: 503"
        assert isinstance(error.value, UnreadConfigError)
    else:
        assert str(error.value).startswith("CONFIG_URI: gs://bucket/config/a: 503; check that it is gs://")
        assert isinstance(error.value, ConfigError)
        assert error.value.faults[0].kind is FaultKind.STORAGE


async def test_a_fault_that_no_other_attempt_heals_is_reported_in_an_outage_too(kind: type[StorageError]) -> None:
    with pytest.raises(ConfigError) as error:
        await read_config(request("gs://bucket/config", FAULT), DAY)
    assert [fault.where for fault in error.value.faults] == ["RUN_TIME_ZONE", "CONFIG_URI"]
    if kind is UnreachableError:
        assert error.value.faults[1].remedy == Message("try again later")

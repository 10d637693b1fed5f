"""Every fault of a start is found before anything is called; a config that storage does not give is no faulty one."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import pytest

from job.config import read as module
from job.config.environment import Options, read_settings
from job.config.faults import ConfigError, Fault, FaultKind
from job.config.read import UnreadConfigError, read_config
from job.engines.calls import Item
from job.storage.store import StorageError, UnreachableError
from job.text.messages import Message, message
from tests.support.records import DAY, config

URLS = {f"{name}_ENGINE_URL": f"https://{name.lower()}.example" for name in ("FINANCIAL", "TRADING", "NEWS", "QA")}
FAULT = Fault("RUN_TIME_ZONE", Message("is wrong"), Message("correct it"))


def request(uri: str, *faults: Fault, urls: bool = True, **asked: Any) -> Options:
    attempt = {"CLOUD_RUN_TASK_ATTEMPT": str(asked.pop("task_attempt", 0))}
    settings, found = read_settings({"CONFIG_URI": uri, **attempt, **(URLS if urls else {})})
    return Options(settings, [*found, *faults], datetime.now(UTC), time.monotonic(), **asked)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, text in config(["AAPL", "MSFT"]).items():
        (tmp_path / name).write_text(text)
    return tmp_path


async def faults_of(asked: Options) -> list[str]:
    with pytest.raises(ConfigError) as error:
        await read_config(asked, DAY)
    return list(map(str, error.value.faults))


async def test_a_plan_is_made_for_a_day_from_objects_that_are_read_once(place: Path) -> None:
    (place / "ticker_list.json").write_text('["AAPL", "AAPL"]')
    prepared = await read_config(request(str(place)), DAY)
    assert [target.id for target in prepared.plan.targets] == ["AAPL"]
    assert (prepared.plan.date, prepared.plan.batch_sizes["trading"], prepared.again) == (DAY, 5, None)
    assert prepared.objects["ticker_list.json"].data == b'["AAPL", "AAPL"]'
    assert len(prepared.plan.notices) == 1


async def test_what_is_asked_for_again_and_what_is_left_out(place: Path) -> None:
    prepared = await read_config(request(str(place), again=("AAPL/news_card",), without=("MSFT",)), DAY)
    assert [call.targets for call in prepared.plan.calls("qa")] == [("AAPL",)]
    assert prepared.again == [Item("qa", "AAPL", "news_card")]
    prepared = await read_config(request(str(place), again=("/news_card",), without=("MSFT",)), DAY)
    assert prepared.again == [Item("qa", "AAPL", "news_card")], "what is left out is not asked for either"


async def test_all_faults_are_found_at_once_those_of_the_request_first(place: Path) -> None:
    (place / "card_types.json").write_text("{")
    assert [line.partition(":")[0] for line in await faults_of(request(str(place), FAULT))] == [
        "RUN_TIME_ZONE", "card_types.json",
    ]  # fmt: skip


async def test_a_url_that_the_plan_needs_and_that_is_not_set_is_a_fault(place: Path) -> None:
    off = {"run_trading_engine": False}
    (place / "engine_control.json").write_text(json.dumps(off))
    assert await faults_of(request(str(place), urls=False)) == [
        f"{name.upper()}_ENGINE_URL: is not set; set it to the engine's https URL"
        for name in ("financial", "news", "qa")
    ]


async def test_a_process_that_may_open_too_few_files_is_a_fault(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("job.config.read.open_file_limit", lambda: 60)
    assert [line.partition(": needs ")[0] for line in await faults_of(request(str(place)))] == [
        "FINANCIAL_ENGINE_CONCURRENCY, TRADING_ENGINE_CONCURRENCY, NEWS_ENGINE_CONCURRENCY", "QA_ENGINE_CONCURRENCY",
    ]  # fmt: skip


UNKNOWN = '--again: "NVDA" is nothing that the config asks for'


@pytest.mark.parametrize(
    ("asked", "faults"),
    [
        (
            {"again": ("MSFT", "NVDA"), "without": ("MSFT",)},
            ['--again: "MSFT" is also left out by --without; name it in one of the two', UNKNOWN],
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
        assert str(error.value).startswith("CONFIG_URI: gs://bucket/config/a: 503; see that it names gs://")
        assert isinstance(error.value, ConfigError)
        assert error.value.faults[0].kind is FaultKind.STORAGE


async def test_a_fault_that_no_other_attempt_heals_is_reported_in_an_outage_too(kind: type[StorageError]) -> None:
    with pytest.raises(ConfigError) as error:
        await read_config(request("gs://bucket/config", FAULT), DAY)
    assert [fault.where for fault in error.value.faults] == ["RUN_TIME_ZONE", "CONFIG_URI"]
    if kind is UnreachableError:
        assert error.value.faults[1].remedy == Message("try again later")

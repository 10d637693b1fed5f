"""A config that storage does not give is no faulty config: another attempt may read it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NoReturn

import pytest

from job.config.environment import read_settings
from job.config.faults import ConfigError, Fault
from job.planning import prepare as module
from job.planning.prepare import UnreadConfigError, prepare
from job.storage.store import StorageError, UnreachableError
from job.text.messages import Message

SETTINGS, _ = read_settings({"CONFIG_URI": "gs://bucket/config"}, datetime.now(UTC))
FAULT = Fault("RUN_DATE", Message("is wrong"), Message("correct it"))


class Failing:
    def __init__(self, error: StorageError) -> None:
        self.error = error

    def read(self, _name: str, _limit: int | None = None) -> NoReturn:
        raise self.error


@pytest.fixture(params=[UnreachableError, StorageError])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[StorageError]:
    made: type[StorageError] = request.param
    monkeypatch.setattr(module, "open_store", lambda _uri: Failing(made(Message("gs://bucket/config/a: 503"))))
    return made


async def test_only_an_outage_is_not_a_fault_of_the_config(kind: type[StorageError]) -> None:
    with pytest.raises((UnreadConfigError, ConfigError)) as error:
        await prepare(SETTINGS, [])
    if kind is UnreachableError:
        assert str(error.value) == "gs://bucket/config/a: 503"
        assert isinstance(error.value, UnreadConfigError)
    else:
        assert str(error.value).startswith("CONFIG_URI: gs://bucket/config/a: 503; see that it names gs://")


async def test_a_fault_that_no_other_attempt_heals_is_reported_in_an_outage_too(kind: type[StorageError]) -> None:
    with pytest.raises(ConfigError) as error:
        await prepare(SETTINGS, [FAULT])
    assert [fault.where for fault in error.value.faults] == ["RUN_DATE", "CONFIG_URI"]
    if kind is UnreachableError:
        assert error.value.faults[1].remedy == Message("try again later")

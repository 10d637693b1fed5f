"""Every fault of a start is found before anything is called; a config that storage does not give is no faulty one."""

import json
import subprocess
import sys
import time
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, NoReturn

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from job.config.environment import Options, read_settings
from job.config.faults import ConfigError, Fault, FaultKind
from job.config.objects import OBJECTS
from job.config.read import read_config
from job.storage.directory import DirectoryStore
from job.storage.store import StorageError, UnreachableError
from job.text.messages import Message, message
from tests.simulators.job import ROOT
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


def test_the_soft_limit_of_open_files_is_raised_to_the_hard_one() -> None:
    program = """
import resource
from job.config.environment import raise_open_file_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
raise_open_file_limit()
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "(200, 200)\n"


# --- no fault causes another one ---

TYPES = ["news_card", "old_card", "price_card", "spare_card"]
TARGETS = [
    {"id": "equities_default", "card_types": ["news_card"], "run_engines": {"trading": False}},
    {"id": "AAPL", "run_engines": {"financials": False}},
    {"id": "Rate 1", "target_type": "topic"},
    {"id": "Elon_Musk", "target_type": "person", "card_types": ["old_card", "price_card"]},
]
CHANGES: dict[str, list[tuple[Any, ...]]] = {
    "variables": [("NEWS_ENGINE_URL", "news"), ("QA_ENGINE_CONCURRENCY", "many"), ("RUN_TIME_ZONE", "Mars")],
    "objects": [
        ("ticker_list.json", None),
        ("ticker_list.json", b"?"),
        ("ticker_list.json", 1, 7),
        ("card_types.json", []),
        ("card_types.json", 0, "enabled", "yes"),
        ("card_targets.json", b"?"),
        ("card_targets.json", {}),
        ("card_targets.json", 0, "card_types", "news_card"),
        ("card_targets.json", 2, "topic_key", "a/b"),
        ("card_targets.json", 4, {"id": "Elon_Musk", "run_engines": {"trading": True}}),
        ("llm_config.json", "default", 1),
    ],
    "mistaken": [("ticker_list.json", 3, "news_card")],
    "between": [
        ("card_types.json", [{"name": name, "enabled": False} for name in TYPES]),
        ("card_types.json", 2, "name", "prize_card"),
        ("QA_ENGINE_URL", ""),
        ("card_targets.json", 0, "card_types", 0, "new_card"),
        ("card_targets.json", 4, {"id": "rate_1", "category": "macro"}),
    ],
}
"""The changes that make one fault; their kinds in the order in which they are told."""


def change(inside: Any, step: Any, *rest: Any) -> None:
    """Writes the last of these where the others lead, if another change has left the way there."""
    if not isinstance(inside, list if isinstance(step, int) else dict):
        return
    if len(rest) > 1:
        with suppress(LookupError):
            change(inside[step], *rest)
    elif isinstance(inside, dict):
        inside[step] = rest[0]
    elif step <= len(inside):
        inside[step : step + 1] = rest


def told(place: Path, *changes: tuple[object, ...]) -> set[tuple[str, str]]:
    """The faults of a sound config with these changes: each object with each place in it, or variable; and what."""
    written: dict[str, Any] = {
        "ticker_list.json": ["AAPL", "MSFT", "TSLA"],
        "card_types.json": [{"name": name, "enabled": name != "old_card"} for name in TYPES],
        "card_targets.json": TARGETS,
        "engine_control.json": {},
        "llm_config.json": {},
        **URLS,
        "CONFIG_URI": str(place),
    }
    written, changes = deepcopy((written, changes))
    for one in changes:
        change(written, *one)
    for name in OBJECTS:
        (place / name).unlink(missing_ok=True)
        if (value := written.pop(name)) is not None:
            (place / name).write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
    variables, faults = read_settings(written)
    try:
        trio.run(read_config, Options(variables, faults, NOW, time.monotonic()), DAY)
    except ConfigError as error:
        found = set[tuple[str, str]]()
        for fault in error.faults:
            name, _, places = str(fault.where).partition(": ")
            found |= {(f"{name}: {one}", f"{fault.what}; {fault.remedy}") for one in places.split(", ")}
        return found
    return set()


@settings(max_examples=60)
@given(data=st.data())
def test_two_faults_tell_nothing_that_neither_tells_alone(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    kinds = [(kind, one) for kind, all_ in CHANGES.items() for one in all_]
    pair = data.draw(st.lists(st.sampled_from(kinds), min_size=2, max_size=2, unique_by=str))
    place = tmp_path_factory.mktemp("config")
    alone = [told(place, one) for _, one in pair]
    assert all(len({what for _, what in faults}) == 1 for faults in alone), "one fault is told as one"
    both = told(place, *(one for _, one in pair))
    assert both
    assert both <= alone[0] | alone[1]
    first = min((kind for kind, _ in pair if kind != "variables"), key=list(CHANGES).index, default=None)
    is_apart = pair[0][1][:2] != pair[1][1][:2] and all(len(one) > 2 or one[0] not in OBJECTS for _, one in pair)
    if is_apart:  # else one may undo the other
        expected = [faults for (kind, _), faults in zip(pair, alone, strict=True) if kind in {"variables", first}]
        assert both == set().union(*expected), "none hides another one of its kind"


@pytest.mark.parametrize(
    ("asked", "options"),
    [
        pytest.param({"again": ("MSFT", "NVDA"), "without": ("MSFT",)}, ["--again"] * 2, id="again what is left out"),
        pytest.param({"again": ("NVDA",), "without": ("TSLA",)}, ["--without", "--again"], id="both unknown"),
        pytest.param({"without": ("AAPL", "MSFT")}, ["--without"], id="all left out"),
    ],
)
async def test_faults_of_the_command_are_found_when_the_config_has_none(
    place: Path, asked: dict[str, Any], options: list[str]
) -> None:
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

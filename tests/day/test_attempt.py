"""How a start began is recorded without a secret, and read as it was written."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from job.config.environment import Options, read_settings
from job.day.attempt import Attempt, Start
from job.engines.identity import COMMIT, VERSION
from job.records.objects import RecordError, read_attempt
from job.telling.notes import plan_notes
from tests.support.records import DAY, RecordedAttempt, config, start_at

NOW = datetime(2026, 11, 23, 18, 0, 3, 500_000, tzinfo=UTC)
CLOUD = {
    "CONFIG_URI": "gs://cards/config",
    "RUN_SCHEDULE": "30 22 * * 1-5",
    "RUN_TIME_ZONE": "Asia/Shanghai",
    "CLOUD_RUN_EXECUTION": "cards-x",
    "CLOUD_RUN_TASK_ATTEMPT": "1",
    "CLOUD_RUN_JOB": "cards",
    "GOOGLE_CLOUD_REGION": "asia-east1",
    "GOOGLE_CLOUD_PROJECT": "p",
    "CARD_URL": "https://cards.example.com/{ticker}.png",
}


def test_a_start_has_what_its_commands_and_links_need() -> None:
    settings, _ = read_settings(CLOUD)
    start = Start.of(Options(settings, [], NOW, 0.0, again=("A",)), settings.days())
    moment = "2026-11-24T02:00:03+08:00"
    known = {"number": 0, "began": moment, "started": moment, "trace_id": start.trace_id, "version": VERSION}
    place = {"execution": "cards-x", "task_attempt": 1, "job": "cards", "region": "asia-east1", "project": "p"}
    told = {"arguments": ("run", "--again=A"), "schedule": "30 22 * * 1-5", "card_url": CLOUD["CARD_URL"]}
    assert start == start_at("2026-11-23", **known, **place, **told, commit=COMMIT, qa_attempts=3)
    assert str(start.offset) == "UTC+08:00"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TASK_MAX_RETRIES": "2"}, True),
        ({"TASK_MAX_RETRIES": "1"}, False),
        ({}, False),
        ({"TASK_MAX_RETRIES": "2", "CLOUD_RUN_EXECUTION": ""}, False),
    ],
    ids=["one is left", "the last try", "not known", "on a laptop"],
)
def test_whether_cloud_run_goes_on_by_itself(variables: dict[str, str], *, expected: bool) -> None:
    settings, faults = read_settings(CLOUD | variables)
    assert not faults
    assert Start.of(Options(settings, [], NOW, 0.0), settings.days()).has_retry is expected


def test_no_secret_is_in_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    secret = {
        "NOTIFY_URL": "https://open.feishu.cn/open-apis/bot/v2/hook/s3cret",
        "NOTIFY_SECRET": "s3cret",
        "QA_ENGINE_URL": "https://qa.example/v1",
        "QA_ENGINE_AUDIENCE": "https://u:s3cret@x/?k=s3cret https://qa.example/v1",
    }
    settings, _ = read_settings({**CLOUD, **secret, "NEWS_ENGINE_URL": "https://news.example", "CONFIG_URI": "config"})
    start = Start.of(Options(settings, [], NOW, 0.0), settings.days())
    assert "s3cret" not in start.model_dump_json()
    assert start.config_uri == str(tmp_path / "config"), "the same place from any directory"
    assert start.engine_urls == {"news": "https://news.example", "qa": "https://qa.example/v1"}
    assert start.engine_audiences == {"news": "https://news.example", "qa": "…@x/?…"}


URLS_OF = {"qa": "https://qa.example"}


def read(data: bytes) -> Attempt:
    return read_attempt(DAY, 1, data)


def test_an_attempt_is_read_as_it_was_written_and_makes_its_plan_again() -> None:
    attempt = RecordedAttempt(objects=config(["AAPL", "美联储", "TSLA"]), about={"without": ("TSLA",)})
    found = read(attempt.stored.to_json())
    assert found == attempt.stored
    assert read(json.dumps({**json.loads(found.to_json()), "style": "of a later version"}).encode()) == found
    assert found.plan_again() == attempt.plan
    assert found.plan_again().left_out == {"TSLA"}


@pytest.mark.parametrize("given", [{}, {"engine_control.json": '{"run_trading_engine": false}'}])
def test_an_engine_that_came_later_is_in_no_plan_of_an_attempt(given: dict[str, str]) -> None:
    """Else each day that was done before would lack its data."""
    recorded = RecordedAttempt(objects=config() | given)
    sizes = {engine: size for engine, size in recorded.stored.batch_sizes.items() if engine != "news"}
    stored = json.loads(recorded.stored.to_json()) | {"batch_sizes": sizes}
    plan = read(json.dumps(stored).encode()).plan_again()
    assert plan.engines() == tuple(engine for engine in recorded.plan.engines() if engine != "news")
    assert [*plan_notes(plan)] == [*plan_notes(recorded.plan)], "nobody has switched it off"


def test_an_attempt_of_an_image_with_one_more_engine_that_is_off_is_read_as_if_there_was_none() -> None:
    recorded = RecordedAttempt(about={"engine_urls": URLS_OF, "engine_audiences": URLS_OF}).stored
    stored = json.loads(recorded.to_json())
    for name, value in (("batch_sizes", 1), ("engine_urls", "https://x"), ("engine_audiences", "https://x")):
        stored[name]["sentiment"] = value
    assert read(json.dumps(stored).encode()) == recorded


@pytest.mark.parametrize(
    "change",
    [
        *({"format": 3}, {"format": 3, "day": {"date": DAY}}, {"day": "2026-11-23"}, {"number": 2}, {"trace_id": "x"}),
        *({"objects": None}, {"batch_sizes": {"financial": 0}}, {"began": "yesterday"}, {"zone": "Mars/Base"}),
        *({"config_uri": "gs://\x1b"}, {"again": [["qa", "A", "a", DAY, -1]]}),
    ],
)
def test_an_attempt_that_the_job_has_not_written_is_refused(change: dict[str, object]) -> None:
    data = json.dumps({**json.loads(RecordedAttempt().stored.to_json()), **change}).encode()
    words = r", in format 3; this one knows 2$" if "format" in change else r" is not as the job wrote it"
    with pytest.raises(RecordError, match=rf"{DAY}/attempts/000001\.json{words}"):
        read(data)

"""`plan` prints the faults of the config, or what a run would call; it sends no request itself."""

import json
from collections import Counter
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from job.cli.main import main
from job.day.attempt import ExitCode
from job.engines.calls import ENGINES
from tests.cli.conftest import TODAY, At, Command
from tests.support.records import DAY, RecordedAttempt, config
from tests.support.records import write as write_records
from tests.support.runs import CONFIG, QUICK, data_requests, run
from tests.support.world import open_virtual_world

NOT_LOOKED = "RUNS_URI is not set: this is compared with no other night"
GOOD: dict[str, object] = {"ticker_list.json": ["AAPL"], "card_types.json": ["news_card"]}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the smallest config that can be used."""
    directory = tmp_path / "place"
    directory.mkdir()
    write(directory, GOOD)
    return directory


def write(directory: Path, objects: dict[str, object]) -> None:
    for name, value in objects.items():
        data = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
        (directory / name).write_bytes(data)


# --- what a run would call ---


@pytest.fixture
def planned(command: Command, tmp_path: Path) -> Counter[str]:
    """The calls that a plan prints."""
    write(tmp_path, CONFIG)
    code, out, _ = command("plan", "--json", "--date=2026-11-24", tmp_path)
    assert code == ExitCode.DONE
    calls = map(json.loads, out)
    return Counter(canonical(call["engine"], call["method"], call["url"], call.get("body")) for call in calls)


def canonical(engine: str, method: str, url: str, body: object) -> str:
    return json.dumps([engine, method, url, body], sort_keys=True)


async def test_what_plan_prints_is_what_run_sends_once(
    planned: Counter[str], nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with open_virtual_world(nursery, CONFIG, latency=QUICK) as world:
        outcome = await run(world, 0, "--date=2026-11-24", "--yes", GOOGLE_CLOUD_PROJECT="my-project")
    calls = [*data_requests(world), *world.qa.requests]
    assert planned == Counter(canonical(one.service, one.method, one.target, one.json) for one in calls)
    assert all(one.headers["host"] == world.engines[one.service].url.removeprefix("http://") for one in calls)
    finished = outcome.events("call.finished")
    spans = {line["logging.googleapis.com/spanId"]: line["targets"] for line in finished if line["engine"] == "qa"}
    assert spans == {one.headers["traceparent"].split("-")[2]: one.tickers for one in world.qa.requests}
    assert len(spans) == len(world.qa.requests)
    for name, engine in ENGINES.items():
        service = world.engines[name]
        assert service.traffic.peak_in_flight <= engine.concurrency


@pytest.mark.parametrize("ignored", ["", "/nowhere", "s3://nowhere"])
def test_a_plan_of_a_given_place_needs_no_variable(command: Command, place: Path, ignored: str) -> None:
    write(place, {"ticker_list.json": ["AAPL", "MSFT"], "card_types.json": ["news_card", "old_card"]})
    assert command("plan", place, CONFIG_URI=ignored) == (
        ExitCode.DONE,
        [
            f"{TODAY}: 2 targets, 4 cards",
            "Financial engine: 2 targets, 1 call",
            "Trading engine: 2 targets, 1 call",
            "News engine: 2 targets, 2 calls",
            "QA engine: 4 cards, 4 calls",
            NOT_LOOKED,
        ],
        [],
    )


@pytest.mark.parametrize("url", ["https://engine.example/v1", None])
def test_the_text_shows_no_url_and_json_the_whole_url_if_known(command: Command, place: Path, url: str | None) -> None:
    topic = {"id": "Rate vs Inflation", "category": "macro"}
    write(place, {"ticker_list.json": ["0700.HK"], "card_targets.json": [topic]})
    variables = {"QA_ENGINE_URL": f"{url}/"} if url else {}
    assert not [line for line in command("plan", place, **variables)[1] if "http" in line or "/" in line]
    code, out, err = command("plan", "--json", place)
    assert (code, err) == (ExitCode.DONE, [NOT_LOOKED])
    shown = {line["engine"]: line["url"] for line in map(json.loads, out)}
    assert shown["qa"].startswith(f"{url or ''}/")
    assert "Rate%20vs%20Inflation" in shown["qa"]
    assert shown["financial"].startswith("/"), "its variable is not set"


def test_without_a_place_it_reads_config_uri_and_needs_nothing_else(command: Command, place: Path) -> None:
    write(place, {"tickers.json": b"a run would not look at it", "ticker_list.json": ["AAPL", "AAPL"]})
    code, out, err = command("plan", CONFIG_URI=str(place))
    assert (code, out[-2:]) == (ExitCode.DONE, ["QA engine: 1 card, 1 call", NOT_LOOKED])
    assert err == ['ticker_list.json: [1] ("AAPL"): is listed twice; it counts once'], "a notice stops no plan"


# --- faults ---


def test_a_faulty_variable_is_a_fault_beside_those_of_the_objects(command: Command, place: Path) -> None:
    (place / "old").mkdir()
    write(place, {"ticker_list.json": [7], "tickers.json": [], "README.md": b"?", "old/tickers.json": b"?"})
    code, out, err = command("plan", place, RUN_TIME_ZONE="Mars", NEWS_ENGINE_URL="news")
    assert (code, out) == (ExitCode.USAGE, [])
    where = {line.partition(":")[0] for line in err}
    assert where == {"NEWS_ENGINE_URL", "RUN_TIME_ZONE", "ticker_list.json", "tickers.json"}
    assert "tickers.json: is not an object that the job reads; correct its name or remove it" in err
    assert len(err) == 4


def test_a_given_place_that_cannot_be_read_is_named_as_it_was_given(command: Command, place: Path) -> None:
    (place / "llm_config.json").mkdir()
    what = "llm_config.json is not a file; replace it with a file or remove it"
    assert command("plan", f"{place}/") == (ExitCode.USAGE, [], [f"{place}/: {place}/{what}"])


def test_a_config_uri_that_cannot_be_read_ends_as_a_run_would(command: Command) -> None:
    code, _, (line,) = command("plan", CONFIG_URI="/nowhere")
    assert code == ExitCode.USAGE
    assert line == "CONFIG_URI: /nowhere is not a directory; set it to gs://BUCKET/PREFIX or to a directory"


@pytest.mark.parametrize("place", ["", "/nowhere", "/" + "a" * 5000, "gs://"])
def test_an_invalid_place_is_a_usage_error(capfd: pytest.CaptureFixture[str], place: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["plan", place])
    assert ended.value.code == ExitCode.USAGE
    assert "is neither gs://BUCKET/PREFIX nor a directory" in capfd.readouterr().err


# --- beside the record ---

CARDS: dict[str, object] = {"ticker_list.json": ["AAPL", "MSFT"], "card_types.json": ["news_card"]}


@pytest.fixture
def night(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two good nights of the config CARDS are recorded."""
    monkeypatch.setenv("RUN_TIME_ZONE", "Asia/Shanghai")
    write_records(runs, *(RecordedAttempt(f"2026-11-{day}").record() for day in (22, 23)))


CHANGED: dict[str, tuple[dict[str, object], list[str]]] = {
    "gone": (
        {"ticker_list.json": ["AAPL", "NVDA"], "card_types.json": ["price_card"]},
        ["No longer asked for since 2026-11-23, 2 cards: /news_card: AAPL, MSFT"],
    ),
    "a ticker that became a topic": (
        {"ticker_list.json": ["AAPL"], "card_targets.json": [{"id": "MSFT", "target_type": "topic"}]},
        ["Another kind of target since 2026-11-23, equity → topic: MSFT/news_card"],
    ),
    "a model": (
        {"llm_config.json": {"default": {"backend": "b"}, "tasks": {"news_card": {"model_name": "gpt5-large"}}}},
        ["Made with another model than on 2026-11-23: – → b, gpt5-large"],
    ),
    "nothing": ({}, []),
    "nothing that is told": ({"ticker_list.json": ["AAPL", "MSFT", "NVDA"]}, []),
}


@pytest.mark.usefixtures("night")
@pytest.mark.parametrize(("objects", "lines"), CHANGED.values(), ids=CHANGED)
def test_a_plan_says_what_has_changed_since_the_night_before(
    command: Command, place: Path, objects: dict[str, object], lines: list[str]
) -> None:
    write(place, CARDS | objects)
    out = command("plan", place)[1]
    assert out[-1 - len(lines)].startswith("QA engine: ")
    assert out[len(out) - len(lines) :] == lines


@pytest.mark.usefixtures("night")
def test_a_ticker_that_left_its_list_alone_is_a_fault_as_in_a_start(command: Command, place: Path) -> None:
    write(place, {**CARDS, "ticker_list.json": ["AAPL"], "card_targets.json": [{"id": "MSFT"}]})
    code, out, err = command("plan", place)
    assert (code, out) == (ExitCode.USAGE, [])
    assert err[-1].startswith('card_targets.json: "MSFT": is no ticker of ticker_list.json any more: ')


@pytest.mark.usefixtures("night")
def test_a_plan_for_a_day_that_is_recorded_is_compared_with_its_latest_attempt(command: Command, place: Path) -> None:
    write(place, CARDS | {"ticker_list.json": ["AAPL"]})
    code, out, (notice,) = command("plan", "--date=2026-11-23", place)
    assert (code, out[0]) == (ExitCode.DONE, "2026-11-23: 1 target, 1 card")
    gone = "No longer asked for since 2026-11-23, 1 card: MSFT/news_card"
    assert gone in out
    assert gone in command("plan", "--json", "--date=2026-11-23", place)[2]
    assert notice.startswith("2026-11-23 is over: its cards get the financial and trading data of now")


@pytest.mark.parametrize(("failed", "said"), [([], "0 calls"), (["MSFT"], "1 call")])
def test_of_a_day_that_was_begun_a_plan_says_how_many_calls_a_start_would_make_now(
    command: Command, place: Path, runs: Path, failed: list[str], said: str
) -> None:
    write(place, CARDS)
    days = [RecordedAttempt(day, failed=failed, outcome="cards_missing") for day in ("2026-11-20", TODAY)]
    write_records(runs, *(day.record() for day in days))
    assert command("plan", place)[1][-1] == f"A start now would make {said}"
    other = command("plan", "--date=2026-11-20", place)[1]
    assert not any("would make" in line for line in other), "it goes on with the config that it recorded"


def test_a_plan_is_that_of_today_in_its_time_zone(command: Command, place: Path, at: At) -> None:
    at("2026-11-24T20:00")
    for zone, day in (("Pacific/Kiritimati", "2026-11-25"), ("Pacific/Pago_Pago", "2026-11-24")):
        assert command("plan", place, RUN_TIME_ZONE=zone)[1][0].startswith(f"{day}: ")


def test_past_nights_that_cannot_be_read_change_no_plan(command: Command, place: Path, runs: Path) -> None:
    write_records(runs, RecordedAttempt("2026-11-23").record() | {"2026-11-23/attempts/000001.json": b"?"})
    for uri in (str(runs), "/dev/null/runs"):
        code, out, err = command("plan", place, RUNS_URI=uri)
        assert (code, err, out[-2]) == (ExitCode.DONE, [], "QA engine: 1 card, 1 call")
        assert out[-1].startswith("past nights cannot be read: ")


def test_a_night_that_has_not_ended_is_compared_with_too(command: Command, place: Path, runs: Path) -> None:
    write_records(runs, RecordedAttempt("2026-11-23", outcome=None, objects=config(["MSFT"])).record())
    assert "No longer asked for since 2026-11-23, 1 card: MSFT/news_card" in command("plan", place)[1]


def test_what_is_odd_about_the_cards_is_said_beside_the_plan(place: Path, command: Command) -> None:
    write(place, {"ticker_list.json": ["AAPL", "MSFT"], "card_targets.json": [{"id": "MSFT", "date": "2026-11-20"}]})
    _, _, err = command("plan", place, f"--date={DAY}")
    assert err[0] == "1 card for another date: MSFT (2026-11-20)"

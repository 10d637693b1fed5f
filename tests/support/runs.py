"""What whole runs of the real process have in common: a world to run in, and what holds for every run whatsoever."""

import json

from job.config.objects import control_key
from job.engines.calls import DATA_ENGINES
from tests.runs.nights_by_chance import promise
from tests.simulators.engines import steady
from tests.simulators.job import Outcome
from tests.simulators.seen import Seen
from tests.simulators.world import RUNS_BUCKET, World

TICKERS = ["AAPL", "BRK.B", "0700.HK", "^GSPC", "BTC-USD", "EURUSD=X", "GC=F"]
CARDS = ["news_card", "earnings_card"]
CONFIG: dict[str, object] = {
    "ticker_list.json": TICKERS,
    "card_types.json": CARDS,
    "card_targets.json": [
        {"id": "Rate vs Inflation", "category": "macro"},
        {"id": "美联储", "topic_key": "fed", "card_types": ["news_card"], "date": "2026-11-20"},
        {"id": "Elon_Musk", "category": "celebrity", "extra_params": {"tone": "a&b=c", "long": True}},
        {"id": "GC=F", "run_engines": {"financials": False}},
    ],
    "llm_config.json": {"default": {"backend": "local", "model_name": "small/1"}},
}
SMALL: dict[str, object] = {"ticker_list.json": ["AAPL", "MSFT"], "card_types.json": ["news_card"]}
QUICK = steady(0.02)
NO_DATA = {control_key(engine): False for engine in DATA_ENGINES}
"""The engine_control.json that switches every data engine off."""


def data_requests(world: World) -> list[Seen]:
    return [request for request in world.seen if request.service in DATA_ENGINES]


def assert_clean(world: World, outcome: Outcome) -> None:
    """What holds for every run, however it ended: no token in sight, no call that nobody may make, sums that add up."""
    shown = outcome.stdout + outcome.stderr
    for request in world.seen:
        assert request.token is None or request.token not in shown
    assert "eyJ" not in shown, "the beginning of a token"
    assert "secret-of-the-" not in shown, "where messages go"
    assert world.violations == []
    assert world.elsewhere.requests == []
    for line in outcome.stdout.splitlines():
        assert isinstance(json.loads(line), dict), line
    for event in outcome.lines:
        assert event.keys() >= {"severity", "message", "event", "time"}
    finished = outcome.finished
    assert [line for line in outcome.lines if line["event"] != "notification.failed"][-1] is finished
    assert finished["exit_code"] == outcome.exit_code
    assert {"day", "engines", "ended"} <= finished.keys()
    assert [*promise.adds_up({"cards": finished["cards"], **finished["engines"]})] == []


async def run(world: World, code: int, *arguments: str, **env: str | None) -> Outcome:
    """A whole start that ends with this code; nothing on standard error but the traceback of a bug."""
    outcome = await world.run_job(("run", *arguments), env=env, seconds=120 if world.patience else None)
    assert outcome.exit_code == code, f"{outcome.stdout}\n{outcome.stderr}"
    assert_clean(world, outcome)
    assert outcome.stderr == "" or code == 70
    return outcome


async def objects(world: World) -> dict[str, bytes]:
    """Every object under RUNS_URI."""
    if world.emulator:
        names = await world.emulator.names(RUNS_BUCKET, "runs/")
        return {name.removeprefix("runs/"): await world.emulator.get(RUNS_BUCKET, name) for name in names}
    place = world.directory / "runs"
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file() and path.name != ".lock" and ".partial-" not in path.name
    }

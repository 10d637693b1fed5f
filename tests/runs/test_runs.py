"""A run of the real process makes every call of its plan once and ends as its exit code says."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
import trio

from job import __version__
from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.job import ROOT
from tests.simulators.service import Fault
from tests.simulators.world import World, open_world
from tests.support.runs import CARDS, CONFIG, QUICK, SMALL, TICKERS, asked_cards, assert_clean, data_requests, run

if TYPE_CHECKING:
    from tests.simulators.seen import Seen


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, CONFIG, latency=QUICK) as opened:
        yield opened


@pytest.fixture
async def small(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, SMALL, latency=QUICK) as opened:
        yield opened


EXPECTED = {
    **{(ticker, card): 1 for ticker in TICKERS for card in CARDS},
    **{(topic, card): 1 for topic in ("Rate vs Inflation", "Elon_Musk") for card in CARDS},
    ("美联储", "news_card"): 1,
}


async def test_a_run_without_faults(world: World) -> None:
    outcome = await run(world, 0, RUN_ID="run-1", RUN_DATE="2026-11-24")
    assert asked_cards(world) == EXPECTED
    cards = outcome.finished["cards"]
    assert cards == {"planned": 19, "generated": 19, "skipped": 0, "failed": 0, "not_attempted": 0, "left_out": 0}
    assert outcome.finished["outcome"] == "succeeded"

    financial = Counter(ticker for request in world.financial.requests for ticker in request.tickers)
    assert financial == Counter(ticker for ticker in TICKERS if ticker != "GC=F")
    assert Counter(ticker for request in world.trading.requests for ticker in request.tickers) == Counter(TICKERS)
    assert sorted((request.path, request.json["date"]) for request in world.news.requests) == sorted(
        [
            *((f"/batch/process_ticker/{ticker}", "2026-11-24") for ticker in TICKERS),
            ("/batch/process_topic/dynamic/rate_vs_inflation", "2026-11-24"),
            ("/batch/process_topic/dynamic/fed", "2026-11-20"),
            ("/batch/process_person/dynamic/Elon_Musk", "2026-11-24"),
        ]
    )
    assert_the_barrier_held(world)
    assert_headers(world)
    assert_connections(world, {"financial": 4, "trading": 4, "news": 8, "qa": 16})
    musk = next(request for request in world.qa.requests if request.tickers == ["Elon_Musk"])
    assert dict(musk.query) == {
        "ticker": "Elon_Musk",
        "date_str": "2026-11-24",
        "preferred_llm_backend": "local",
        "model_name": "small/1",
        "tone": "a&b=c",
        "long": "true",
    }
    assert [event["event"] for event in outcome.lines].count("call.finished") == len(data_requests(world)) + 19
    assert len({line["logging.googleapis.com/trace"] for line in outcome.lines}) == 1


def assert_the_barrier_held(world: World) -> None:
    answered = [request.answered for request in data_requests(world)]
    assert None not in answered
    first_card = min(request.arrived for request in world.qa.requests)
    assert first_card >= max(moment for moment in answered if moment is not None)


def assert_headers(world: World) -> None:
    calls = [*data_requests(world), *world.qa.requests]
    keys = Counter(request.headers["idempotency-key"] for request in calls)
    assert set(keys.values()) == {1}
    parents = [request.headers["traceparent"].split("-") for request in calls]
    assert {(version, flags) for version, _, _, flags in parents} == {("00", "01")}
    assert len({trace for _, trace, _, _ in parents}) == 1
    assert len({span for _, _, span, _ in parents}) == len(calls)
    assert all((len(trace), len(span)) == (32, 16) for _, trace, span, _ in parents)
    for request in calls:
        assert request.headers["user-agent"].startswith(f"batch-orchestrator/{__version__}")
        assert request.claims is not None
        assert request.claims["aud"] == world.engines[request.service].url
        assert request.headers["host"] == world.engines[request.service].url.removeprefix("http://")
    tokens = [request for request in world.metadata.requests if request.path.endswith("/identity")]
    assert len(tokens) == 4, "one token for each audience"


def assert_connections(world: World, concurrency: dict[str, int]) -> None:
    """A worker keeps its connection to the QA engine; a data engine's serves one call."""
    for name, service in world.engines.items():
        calls = len(service.requests)
        assert service.traffic.connections == (min(concurrency[name], calls) if name == "qa" else calls), name
        assert service.traffic.peak_in_flight <= concurrency[name], name
        assert {request.headers.get("connection") for request in service.requests} == {
            None if name == "qa" else "close"
        }


@pytest.mark.slow
async def test_a_worker_keeps_its_connection_over_many_calls(nursery: trio.Nursery) -> None:
    tickers = [f"T{number}" for number in range(60)]
    config = {"ticker_list.json": tickers, "card_types.json": ["a", "b"]}
    async with open_world(nursery, config, latency=steady(0.03)) as world:
        bounds = {"FINANCIAL": 2, "TRADING": 3, "NEWS": 5, "QA": 7}
        await run(world, 0, {f"{name}_ENGINE_CONCURRENCY": str(bound) for name, bound in bounds.items()})
        for name, bound in bounds.items():
            traffic = world.engines[name.lower()].traffic
            calls = len(world.engines[name.lower()].requests)
            connections = bound if name == "QA" else calls
            assert (traffic.connections, traffic.peak_in_flight) == (connections, bound), name


@pytest.mark.slow
async def test_the_same_run_has_the_same_keys_and_another_has_others(small: World) -> None:
    def keys(requests: list[Seen]) -> dict[str, str]:
        return {request.target: request.headers["idempotency-key"] for request in requests}

    found = []
    for run_id in ("one", "one", "two"):
        small.forget()
        await run(small, 0, RUN_ID=run_id)
        found.append(keys(small.qa.requests))
    assert found[0] == found[1]
    assert not set(found[1].values()) & set(found[2].values())


async def test_what_plan_prints_is_what_run_sends(world: World) -> None:
    planned = await world.run_job(("plan", "--json"), env={"RUN_DATE": "2026-11-24"})
    assert planned.exit_code == 0
    assert world.seen == [], "plan calls no engine and asks for no token"
    await run(world, 0, RUN_DATE="2026-11-24")

    def canonical(engine: str, method: str, url: str, body: object) -> str:
        return json.dumps([engine, method, url, body], sort_keys=True)

    assert all(line.keys() <= {"engine", "method", "url", "body"} for line in planned.lines)
    assert Counter(canonical(x["engine"], x["method"], x["url"], x.get("body")) for x in planned.lines) == Counter(
        canonical(request.service, request.method, world.engines[request.service].url + request.target, request.json)
        for request in (*data_requests(world), *world.qa.requests)
    )
    assert planned.stdout.count("\n") == len(planned.lines)


@pytest.mark.slow
async def test_plan_for_people_counts_and_names(world: World) -> None:
    planned = await world.run_job(("plan",))
    assert planned.exit_code == 0
    lines = planned.stdout.splitlines()
    assert "QA engine: 19 cards, 19 calls" in lines
    assert "Financial engine: 6 targets, 2 calls" in lines
    assert "Model small/1 of local: 19 cards (news_card, earnings_card)" in lines
    full = await world.run_job(("plan", "--full"))
    assert any(
        "Elon_Musk (person, tone=a&b=c, long=true): news; news_card, earnings_card" in line
        for line in full.stdout.splitlines()
    )
    assert world.seen == []


BAD_CONFIG: dict[str, object] = {
    "ticker_list.json": ["AAPL", "a/b"],
    "card_targets.json": [{"id": "X", "card": 1}],
}


@pytest.mark.parametrize(
    "command", ["run", pytest.param("plan", marks=pytest.mark.slow), pytest.param("check", marks=pytest.mark.slow)]
)
async def test_a_bad_config_ends_with_2_and_all_its_faults(nursery: trio.Nursery, command: str) -> None:
    async with open_world(nursery, BAD_CONFIG) as world:
        outcome = await world.run_job((command,), env={"RUN_DATE": "tomorrow", "CLOUD_RUN_TASK_COUNT": "2"})
        assert world.seen == []
    assert outcome.exit_code == 2
    shown = (outcome.stdout + outcome.stderr).replace('\\"', '"')
    for place in (
        "CLOUD_RUN_TASK_COUNT: is",
        "RUN_DATE: ",
        "card_types.json: does not exist",
        'ticker_list.json: [1] ("a/b"): ',
        'card_targets.json: [0] ("X").card: is not a known key',
    ):
        assert place in shown, place
    if command == "run":
        assert [event["event"] for event in outcome.lines] == ["config.faulty"] * 5 + ["run.finished"]
        assert outcome.finished["exit_code"] == 2
        assert {line["where"] for line in outcome.events("config.faulty")} >= {
            "RUN_DATE",
            'ticker_list.json: [1] ("a/b")',
        }


@pytest.mark.slow
async def test_more_than_one_task_is_refused(small: World) -> None:
    outcome = await run(small, 2, CLOUD_RUN_TASK_COUNT="2")
    assert outcome.events("config.faulty")[0]["where"] == "CLOUD_RUN_TASK_COUNT"
    assert small.seen == []


@pytest.mark.slow
async def test_today_is_one_day_of_the_zone_for_the_whole_run(small: World) -> None:
    """The two zones are 25 hours apart, so at any time at least one of them has a day that is not the tests'."""
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        small.forget()
        days = {datetime.now(ZoneInfo(zone)).date().isoformat()}
        await run(small, 0, RUN_DATE="today", RUN_TIME_ZONE=zone)
        days.add(datetime.now(ZoneInfo(zone)).date().isoformat())
        sent = {request.json["date"] for request in small.news.requests}
        sent |= {dict(request.query)["date_str"] for request in small.qa.requests}
        assert len(sent) == 1
        assert sent <= days


@pytest.mark.slow
async def test_without_a_date_the_engines_use_their_own(small: World) -> None:
    await run(small, 0)
    assert {request.json["date"] for request in small.news.requests} == {None}
    assert all("date_str" not in dict(request.query) for request in small.qa.requests)


@pytest.mark.slow
async def test_engines_that_are_switched_off_are_not_called_and_need_no_url(small: World) -> None:
    await small.configure("engine_control.json", {"run_financials_engine": False, "run_trading_engine": False})
    await run(small, 0, FINANCIAL_ENGINE_URL=None, TRADING_ENGINE_URL=None)
    assert {request.service for request in small.seen} == {"metadata", "news", "qa"}


async def test_cards_that_fail_for_good_are_listed_and_the_others_made(world: World) -> None:
    world.qa.script += [
        Fault(when.both(when.card("earnings_card"), when.ticker("AAPL")), do.body({"status": "failed", "error": "no"})),
        Fault(when.ticker("美联储"), do.status(422, {"detail": "bad"})),
    ]
    outcome = await run(world, 3)
    assert outcome.finished["outcome"] == "cards_missing"
    assert outcome.finished["cards"] == {
        "planned": 19, "generated": 17, "skipped": 0, "failed": 2, "not_attempted": 0, "left_out": 0,
    }  # fmt: skip
    assert sorted(outcome.finished["failures"]) == [
        "qa AAPL earnings_card: failed: no (2 attempts)",
        'qa 美联储 news_card: HTTP 422: {"detail": "bad"} (1 attempt)',
    ]
    assert asked_cards(world) == EXPECTED | {("AAPL", "earnings_card"): 2}


@pytest.mark.slow
async def test_a_qa_engine_that_is_down_is_given_up(nursery: trio.Nursery) -> None:
    config = {"ticker_list.json": [f"T{number}" for number in range(100)], "card_types.json": ["a", "b"]}
    async with open_world(nursery, config) as world:
        world.qa.script.append(Fault(when.always, do.status(403)))
        outcome = await run(world, 3, QA_ENGINE_CONCURRENCY="4")
        assert outcome.finished["outcome"] == "qa_engine_down"
        assert "The QA engine refuses the job's calls" in outcome.finished["message"]
        cards = outcome.finished["cards"]
        assert 20 <= cards["failed"] <= 24
        assert cards["not_attempted"] == 200 - cards["failed"]


BROKEN = "import httpcore\ndef broken(*_, **__): raise ZeroDivisionError('unforeseen')\nhttpcore.Request = broken\n"


async def test_an_unexpected_exception_ends_with_70_and_one_traceback(small: World) -> None:
    (small.directory / "broken").mkdir()
    (small.directory / "broken" / "sitecustomize.py").write_text(BROKEN)
    await small.configure("engine_control.json", {"run_financials_engine": False, "run_trading_engine": False})
    env = {"PYTHONPATH": str(small.directory / "broken"), "NEWS_ENGINE_CONCURRENCY": "1"}
    outcome = await run(small, 70, env)
    assert outcome.stderr.count("ZeroDivisionError: unforeseen") == 1
    assert outcome.finished["outcome"] == "unforeseen"
    assert outcome.finished["severity"] in {"ERROR", "CRITICAL"}
    assert small.qa.requests == []


@pytest.mark.parametrize("code", [0, pytest.param(70, marks=pytest.mark.slow)])
async def test_the_last_line_follows_the_closed_record_and_the_lease_that_was_given_back(
    small: World, code: int
) -> None:
    """Also after a bug."""
    env: dict[str, str | None] = {"RUN_ID": "night", "RUNS_URI": small.runs_uri}
    if code:
        (small.directory / "broken").mkdir()
        (small.directory / "broken" / "sitecustomize.py").write_text(BROKEN)
        env["PYTHONPATH"] = str(small.directory / "broken")
    job = await small.start_job(env=env)
    last = await job.seen("run.finished")
    assert (small.directory / "runs" / "night" / "report.json").exists()
    assert not (small.directory / "runs" / "_lease.json").exists()
    outcome = await job.outcome()
    assert outcome.lines[-1] == last
    assert outcome.exit_code == last["exit_code"] == code
    assert ("ZeroDivisionError: unforeseen" in outcome.stderr) == bool(code)


async def test_a_bare_checkout_is_enough(small: World, tmp_path: Path) -> None:
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("batch-orchestrator")
    shutil.copytree(ROOT / "job", tmp_path / "job", ignore=shutil.ignore_patterns("__pycache__"))
    done = await trio.run_process(
        [sys.executable, "-m", "job"],
        cwd=tmp_path,
        env=small.environment(PYTHONDONTWRITEBYTECODE="1"),
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(asked_cards(small)) == 2
    assert os.listdir(tmp_path) == ["job"]  # noqa: PTH208  ruff would ask for an async pathlib


Redirect = dict[str, Any]


@pytest.mark.parametrize(
    "kind", ["full", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("closed", "broken"))]
)
async def test_an_output_that_cannot_be_written_does_not_stop_the_run(small: World, kind: str) -> None:
    """A full disk, a closed descriptor, a pipe whose reader has gone."""
    command = [sys.executable, "-m", "job"]
    if kind == "closed":
        command = ["/bin/sh", "-c", f"exec {sys.executable} -m job >&-"]
    ours, theirs = os.pipe()
    os.close(ours)
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        done = await trio.run_process(
            command,
            cwd=ROOT,
            env=small.environment(),
            stdout={"full": full, "closed": subprocess.DEVNULL, "broken": theirs}[kind],
            capture_stderr=True,
            check=False,
        )
    finally:
        os.close(theirs)
        os.close(full)
    assert (done.returncode, done.stderr) == (0, b"")
    assert asked_cards(small) == {("AAPL", "news_card"): 1, ("MSFT", "news_card"): 1}
    assert all(request.status == 200 for request in small.seen)


async def test_check_says_what_is_in_order(small: World) -> None:
    outcome = await small.run_job(("check",))
    assert outcome.exit_code == 0
    assert outcome.stdout.splitlines()[0] == "✓ config: 2 targets, 2 cards"
    assert sorted(outcome.stdout.splitlines()[1:]) == sorted(
        f"✓ {name}: {service.url} is healthy" for name, service in small.engines.items()
    )
    assert {request.method for request in small.seen} == {"GET"}


async def test_check_says_what_is_wrong_with_each_engine(small: World) -> None:
    small.financial.script.append(Fault(when.always, do.status(403)))
    small.trading.script.append(Fault(when.always, do.status(503)))
    small.news.script.append(Fault(when.always, do.redirect(small.elsewhere.url)))
    await small.qa.stop()
    outcome = await small.run_job(("check",))
    assert outcome.exit_code == 1
    lines = {line.split()[1]: line for line in outcome.stdout.splitlines()}
    assert "grant roles/run.invoker on the service to the job's account" in lines["financial:"]
    assert "HTTP 503" in lines["trading:"]
    assert "HTTP 302" in lines["news:"]
    assert lines["qa:"] == f"✗ qa: {small.qa.url}: connection refused"
    assert small.elsewhere.requests == []


@pytest.mark.slow
async def test_check_accepts_no_answer_but_an_engines(small: World) -> None:
    small.financial.script.append(Fault(when.always, do.body({"status": "starting"})))
    small.trading.script.append(Fault(when.always, do.body(None)))
    small.news.script.append(Fault(when.always, do.html()))
    outcome = await small.run_job(("check",))
    assert outcome.exit_code == 1
    lines = {line.split()[1]: line for line in outcome.stdout.splitlines()}
    for name in ("financial", "trading", "news"):
        assert lines[f"{name}:"].startswith(
            f"✗ {name}: {small.engines[name].url}/health: not the answer of an engine: "
        )
    assert lines["qa:"] == f"✓ qa: {small.qa.url} is healthy"


@pytest.mark.parametrize("changed", ["URL", "AUDIENCE"])
async def test_a_changed_variable_sends_no_token_for_an_engine_elsewhere(small: World, changed: str) -> None:
    """As by an override of an execution: the deployment states the audience for the engine's own URL."""
    stated = {"QA_ENGINE_URL": small.qa.url, "QA_ENGINE_AUDIENCE": f"https://qa.example {small.qa.url}"}
    elsewhere = {"URL": small.elsewhere.url, "AUDIENCE": "https://qa.example"}[changed]
    outcome = await small.run_job(env=stated | {f"QA_ENGINE_{changed}": elsewhere})
    assert outcome.exit_code == 2
    assert [line["where"] for line in outcome.events("config.faulty")] == ["QA_ENGINE_AUDIENCE"]
    assert small.seen == []


@pytest.mark.slow
async def test_check_names_a_wrong_audience(small: World) -> None:
    outcome = await small.run_job(("check",), env={"QA_ENGINE_AUDIENCE": f"https://other.example {small.qa.url}"})
    assert outcome.exit_code == 1
    assert "the audience is wrong: set it to the service's own URL" in outcome.stdout


async def test_a_terminal_shows_bars_a_table_and_the_outcome(world: World) -> None:
    world.qa.latency = steady(0.3)
    world.qa.script.append(Fault(when.ticker("GC=F"), do.status(422)))
    outcome = await world.run_job(terminal=True, env={"RUN_ID": "seen"})
    assert outcome.exit_code == 3
    screen = outcome.stdout
    for part in ("run seen", "19 cards", "in flight", "━", "p50", "p95", "not attempted", "17 of 19 cards are there"):
        assert part in screen, part
    assert "qa GC=F news_card: HTTP 422" in screen
    assert "(exit code 3)" in screen.rstrip().splitlines()[-1]
    assert '"event"' not in screen
    assert "eyJ" not in screen


async def test_engines_are_called_over_tls(nursery: trio.Nursery) -> None:
    async with open_world(nursery, SMALL, latency=QUICK, tls=True) as world:
        await run(world, 0)
        assert len(asked_cards(world)) == 2


@pytest.mark.slow
async def test_an_untrusted_certificate_is_refused(nursery: trio.Nursery) -> None:
    async with open_world(nursery, SMALL, latency=QUICK, tls=True) as world:
        env: dict[str, str | None] = {f"{name}_ENGINE_ATTEMPTS": "1" for name in ("FINANCIAL", "TRADING", "NEWS")}
        outcome = await run(world, 1, env, SSL_CERT_FILE=None)
        assert "TLS: " in outcome.finished["message"]
        assert data_requests(world) == []


PROXIES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]


async def test_proxies_and_netrc_of_the_machine_have_no_effect(small: World) -> None:
    netrc = small.directory / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\ndefault login me password secret\n")
    netrc.chmod(0o600)
    env: dict[str, str | None] = dict.fromkeys(PROXIES, small.elsewhere.url)
    await run(small, 0, env, NETRC=str(netrc))
    assert len(asked_cards(small)) == 2


async def test_log_lines_are_as_cloud_logging_reads_them(small: World) -> None:
    before = datetime.now(UTC)
    outcome = await run(small, 0, GOOGLE_CLOUD_PROJECT="my-project", RUN_ID="r")
    for line in outcome.lines:
        assert line["severity"] in {"DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL"}
        assert before <= datetime.fromisoformat(line["time"]) <= datetime.now(UTC)
        assert line["logging.googleapis.com/trace"].startswith("projects/my-project/traces/")
    spans = {
        line["logging.googleapis.com/spanId"]: line["targets"]
        for line in outcome.events("call.finished")
        if line["engine"] == "qa"
    }
    sent = {request.headers["traceparent"].split("-")[2]: request.tickers for request in small.qa.requests}
    assert spans == sent
    assert_clean(small, outcome)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "gbk"])
async def test_a_terminal_of_another_encoding_does_not_stop_the_run(world: World, encoding: str) -> None:
    world.qa.script.append(Fault(when.ticker("美联储"), do.status(422)))
    outcome = await world.run_job(terminal=True, env={"PYTHONIOENCODING": encoding})
    assert outcome.exit_code == 3, outcome.stdout
    assert "18 of 19 cards are there" in outcome.stdout

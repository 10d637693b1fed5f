"""What can happen to the process itself: signals, kills, the deadline, another run, its clock."""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import TYPE_CHECKING

import trio

from tests.runs.fault_table.row import CARDS, PLANNED, Case, Env, Play, Row, succeeded
from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.service import Fault
from tests.support.altered import MAD_CLOCK, SHORT_LEASE, altered
from tests.support.places import objects
from tests.support.runs import until

if TYPE_CHECKING:
    from tests.simulators.job import Outcome
    from tests.simulators.world import World


def _signalled(number: signal.Signals, service: str) -> Play:
    """The signal comes when this engine has its first call."""

    async def play(world: World, env: Env) -> Outcome:
        world.engines[service].latency = steady(0.8)
        job = await world.start_job(env=env)
        await until(lambda: world.engines[service].requests)
        job.send_signal(number)
        return await job.outcome()

    return play


def _resumed(number: signal.Signals, service: str, *, hand: bool = False) -> Play:
    """The process is ended while this engine has calls in flight; the same run is started again."""

    async def play(world: World, env: Env) -> Outcome:
        world.engines[service].latency = steady(0.4)
        job = await world.start_job(env=env)
        await until(lambda: len(world.engines[service].requests) >= 5)
        job.send_signal(number)
        await job.outcome()
        return await world.run_job(("resume", "night") if hand else ("run",), env=env)

    return play


def whole(world: World, outcome: Outcome) -> None:
    """Every card was asked for, and what was done before is skipped."""
    cards = outcome.finished["cards"]
    assert cards["generated"] + cards["skipped"] == PLANNED
    assert len({(request.tickers[0], request.card) for request in world.qa.requests}) == PLANNED


def _twice(count: int, *, alike: bool) -> Play:
    """So many runs are started while one is at work; the last of them is judged."""

    async def play(world: World, env: Env) -> Outcome:
        world.news.latency = steady(3.0)
        env = {**env, "NEWS_ENGINE_TIMEOUT": "20"}
        first = await world.start_job(env={**env, "RUN_ID": "first"})
        await until(lambda: world.news.requests)
        asked = len(world.seen)
        others = [
            await world.start_job(env={**env, "RUN_ID": f"other-{n}", "RUN_DATE": None if alike else "2026-01-01"})
            for n in range(count)
        ]
        outcomes = [await job.outcome() for job in others]
        assert {(outcome.exit_code, outcome.finished["outcome"]) for outcome in outcomes} == {
            (0, "superseded") if alike else (75, "busy")
        }
        assert "run first of" in outcomes[-1].finished["message"]
        assert [seen for seen in world.seen[asked:] if seen.service in {"metadata", "qa"}] == []
        assert (await first.outcome()).exit_code == 0
        assert world.news.traffic.peak_in_flight <= 8
        assert len(world.qa.requests) == PLANNED
        return outcomes[-1]

    return play


def _together(run_ids: list[str]) -> Play:
    """All are started at the same moment: one does the work, the others call nobody."""

    async def play(world: World, env: Env) -> Outcome:
        gate = trio.Event()  # the one is at work until the others have gone
        world.qa.script.append(Fault(when.always, do.held(gate)))
        env = {**env, "QA_ENGINE_TIMEOUT": "60"}
        jobs = [await world.start_job(env={**env, "RUN_ID": run_id}) for run_id in run_ids]
        await until(lambda: sum(job.process.returncode is not None for job in jobs) == len(jobs) - 1, 25)
        gate.set()
        outcomes = [await job.outcome() for job in jobs]
        ends = Counter((outcome.exit_code, outcome.finished["outcome"]) for outcome in outcomes)
        assert ends == {(0, "succeeded"): 1, (0, "superseded"): len(run_ids) - 1}
        assert len(world.qa.requests) == PLANNED
        assert len({trace for trace in (seen.headers.get("traceparent", "")[:35] for seen in world.seen) if trace}) == 1
        return next(outcome for outcome in outcomes if outcome.finished["outcome"] == "superseded")

    return play


async def deadline_at_the_config(world: World, env: Env) -> Outcome:
    """The config is still not read when the deadline comes."""
    assert world.storage
    world.storage.script.append(Fault(when.always, do.hang()))
    outcome = await world.run_job(env={**env, "RUN_DEADLINE_SECONDS": "2"}, seconds=15)
    assert outcome.seconds < 3.5
    return outcome


async def paused(world: World, env: Env) -> Outcome:
    """The process sleeps for longer than its lease lasts, as in a live migration, and wakes up with calls in flight."""
    world.qa.latency = steady(0.3)
    env = {**env, **altered(world.directory, SHORT_LEASE)}
    job = await world.start_job(env={**env, "QA_ENGINE_CONCURRENCY": "2"})
    await until(lambda: len(world.qa.requests) >= 4)
    os.kill(job.process.pid, signal.SIGSTOP)
    asked = len(world.qa.requests)
    other = await world.run_job(env={**env, "RUN_ID": "other"}, seconds=20)
    while other.exit_code == 0 and other.finished["outcome"] == "superseded":
        other = await world.run_job(env={**env, "RUN_ID": "other"}, seconds=20)
    assert (other.exit_code, other.finished["outcome"]) == (0, "succeeded")
    assert len(world.qa.requests) == asked + PLANNED
    os.kill(job.process.pid, signal.SIGCONT)
    outcome = await job.outcome()
    assert len(world.qa.requests) == asked + PLANNED, "not one call after it woke up"
    return outcome


async def clock_jumps(world: World, env: Env) -> Outcome:
    """The wall clock jumps to and fro from the first data call on."""
    flag = world.directory / "mad"
    job = await world.start_job(env={**env, **altered(world.directory, MAD_CLOCK.format(flag=str(flag)))})
    await until(lambda: world.news.requests)
    flag.touch()
    return await job.outcome()


def _deadline(service: str, latency: float) -> Play:
    async def play(world: World, env: Env) -> Outcome:
        world.engines[service].latency = steady(latency)
        timeout = {f"{service.upper()}_ENGINE_TIMEOUT": "60"}
        return await world.run_job(env={**env, **timeout, "RUN_DEADLINE_SECONDS": "3"}, seconds=15)

    return play


async def deadline_in_a_wait(world: World, env: Env) -> Outcome:
    """Every card waits for its next attempt, for half a minute, when the deadline comes."""
    world.qa.script.append(Fault(when.always, do.status(503, retry_after="30")))
    outcome = await world.run_job(env={**env, "RUN_DEADLINE_SECONDS": "4"}, seconds=15)
    assert outcome.seconds < 5.5
    return outcome


async def unread(world: World, env: Env) -> Outcome:
    """Nobody reads what the run prints until all of its cards but one are there."""
    gate, reading = trio.Event(), trio.Event()
    world.qa.script.append(Fault(when.both(when.ticker("T0"), when.card("news_card")), do.held(gate)))
    job = await world.start_job(env={**env, "QA_ENGINE_TIMEOUT": "20"}, reading=reading)
    await until(lambda: sum(request.status == 200 for request in world.qa.requests) == PLANNED - 1)
    reading.set()
    gate.set()
    outcome = await job.outcome()
    assert len(outcome.events("call.finished")) == 2 * 5 + 10 + PLANNED
    assert "lines_dropped" not in outcome.finished
    return outcome


def _unread_until_signalled(number: signal.Signals) -> Play:
    """Nobody reads what the run prints until its record is closed after a signal."""

    async def play(world: World, env: Env) -> Outcome:
        reading = trio.Event()
        world.qa.script.append(Fault(when.ticker("T9"), do.hang()))
        job = await world.start_job(env={**env, "QA_ENGINE_TIMEOUT": "20"}, reading=reading)
        await until(lambda: sum(request.status == 200 for request in world.qa.requests) == PLANNED - len(CARDS))
        job.send_signal(number)
        while "night/report.json" not in await objects(world):
            pass
        reading.set()
        return await job.outcome()

    return play


def _late(name: str, play: Play, cards: tuple[int, int, int, int] | None, **more: object) -> Case:
    return Case(name, "deadline", 4, cards=cards, play=play, says="deadline passed", **more)  # type: ignore[arg-type]


def succeeded_again(name: str, play: Play, **more: object) -> Case:
    """A case in which the second attempt at a run does what the first one left."""
    return Case(name, "succeeded", 0, play=play, check=whole, **more)  # type: ignore[arg-type]


NONE = (0, 0, 0, PLANNED)
ROWS = (
    Row(
        "SIGTERM",
        "SIGTERM: the task's timeout, a cancelled execution",
        "no new call; data calls are cut off, cards in flight get 5 s; record and report are closed within 3 s",
        "`python -m job resume RUN_ID`; on Cloud Run the task's retry does so by itself",
        (
            Case("data", "interrupted", 143, cards=NONE, play=_signalled(signal.SIGTERM, "news"), fast=True),
            Case("cards", "interrupted", 143, play=_signalled(signal.SIGTERM, "qa")),
            succeeded_again("and again", _resumed(signal.SIGTERM, "qa")),
        ),
    ),
    Row(
        "SIGINT",
        "SIGINT: Ctrl-C",
        "everything is cut off at once; record and report are closed within 3 s",
        "`python -m job resume RUN_ID`",
        (
            Case("data", "interrupted", 130, cards=NONE, play=_signalled(signal.SIGINT, "trading")),
            Case("cards", "interrupted", 130, play=_signalled(signal.SIGINT, "qa")),
            succeeded_again("and again by hand", _resumed(signal.SIGINT, "qa", hand=True)),
        ),
    ),
    Row(
        "SIGKILL",
        "SIGKILL: out of memory, a machine that is gone",
        "nothing; the last 5 s or 200 results are lost to the record, and are asked for again with the same key",
        "`python -m job resume RUN_ID`; on Cloud Run the task's retry does so by itself",
        (
            succeeded_again("data", _resumed(signal.SIGKILL, "news")),
            succeeded_again("cards", _resumed(signal.SIGKILL, "qa"), fast=True),
        ),
    ),
    Row(
        "another run",
        "another run is at work: a tick that was delivered twice, a second button",
        "it calls nobody, and says whose the lease is",
        "nothing where it does the same work; else start it again later",
        (
            Case("the same plan", "superseded", 0, cards=(0, 0, 0, 0), play=_twice(1, alike=True), record=False),
            Case("four of them", "superseded", 0, cards=(0, 0, 0, 0), play=_twice(4, alike=True), record=False),
            Case(
                "five at the same moment",
                "superseded",
                0,
                cards=(0, 0, 0, 0),
                play=_together(["a", "b", "c", "d", "e"]),
                record=False,
            ),
            Case("twins", "superseded", 0, cards=(0, 0, 0, 0), play=_together(["night", "night"]), record=False),
            Case("another day", "busy", 75, cards=(0, 0, 0, 0), play=_twice(1, alike=False), record=False),
        ),
    ),
    Row(
        "lease lost",
        "the process was paused for longer than its lease lasts",
        "it stops, since another run may be at work",
        "`python -m job resume RUN_ID` once no other run is at work",
        (Case("for seconds", "lease_lost", 75, play=paused, says="lost its lease", record=False, seconds=60.0),),
    ),
    Row(
        "clock",
        "the machine's clock jumps",
        "nothing: only stamps show it",
        "nothing",
        (succeeded("to and fro", play=clock_jumps),),
    ),
    Row(
        "deadline",
        "`RUN_DEADLINE_SECONDS` have passed",
        "no new call; data calls are cut off, cards in flight get 5 s; what is missing is said",
        "`python -m job resume RUN_ID`; on Cloud Run the task's retry does so by itself",
        (
            _late("config", deadline_at_the_config, (0, 0, 0, 0), bucket=True, record=False),
            _late("data", _deadline("financial", 20.0), NONE, fast=True),
            _late("cards", _deadline("qa", 3.5), None),
            _late("cards that hang", _deadline("qa", 50.0), (0, 0, 16, 14)),
            _late("in a wait", deadline_in_a_wait, None),
        ),
    ),
    Row(
        "no reader",
        "nobody reads what the run prints: Ctrl-S, a pager that waits, a stuck log collector",
        "the run goes on, and so do signals and the deadline; 8 MiB of lines wait, then lines about single calls are"
        " dropped and counted (`lines_dropped`); at its end the run waits 1 s for the reader",
        "`python -m job report RUN_ID` shows what the log lacks",
        (
            succeeded("for a while", play=unread, fast=True),
            Case("and SIGINT", "interrupted", 130, cards=(27, 0, 3, 0), play=_unread_until_signalled(signal.SIGINT)),
        ),
    ),
)

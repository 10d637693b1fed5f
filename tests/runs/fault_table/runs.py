"""What can happen to the process itself: signals, kills, the deadline, another run, its clock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from job.records.lease import LEASE, Holder, machine
from tests.runs.fault_table.row import CARDS, PLANNED, TICKERS, Case, Env, Play, Row, succeeded
from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.job import ROOT
from tests.simulators.service import Fault
from tests.support.altered import EAGER_LEASE, MAD_CLOCK, SHORT_LEASE, SUSPENDED, altered
from tests.support.places import objects
from tests.support.runs import QUICK, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.simulators.job import Job, Outcome
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
    """The process ends while this engine has calls in flight; the same run is started again."""

    async def play(world: World, env: Env) -> Outcome:
        world.engines[service].latency = steady(0.4)
        job = await world.start_job(env=env)
        await until(lambda: len(world.engines[service].requests) >= 5)
        job.send_signal(number)
        await job.outcome()
        return await world.run_job(("resume", "night") if hand else ("run",), env=env)

    return play


async def _resumed_after_two_signals(world: World, env: Env) -> Outcome:
    """The second signal comes while cards that are in flight may still answer; the run is resumed by hand."""
    world.qa.latency = steady(0.4)
    job = await world.start_job(env=env)
    await until(lambda: len(world.qa.requests) >= 5)
    world.qa.latency = steady(3.0)
    await until(lambda: len(world.qa.requests) >= 20)
    job.send_signal(signal.SIGTERM)
    await trio.sleep(0.3)
    job.send_signal(signal.SIGINT)
    ended = await job.outcome()
    assert (ended.exit_code, ended.stderr.count("python -m job run")) == (130, 1)
    world.qa.latency = QUICK
    return await world.run_job(("resume", "night"), env=env)


def _remade(cause: Callable[[World], None], *, killed: bool = False) -> Play:
    """The run has made all cards, and a person wants three of them again."""

    async def play(world: World, env: Env) -> Outcome:
        assert (await world.run_job(env=env)).exit_code == 0
        asked = len(world.qa.requests)
        cause(world)
        remake = ("remake", "night", "T0", "--yes")
        if not killed:
            return await world.run_job(remake, env=env)
        world.qa.latency = steady(0.4)
        job = await world.start_job(*remake, env={**env, "QA_ENGINE_CONCURRENCY": "1"})
        await until(lambda: len(world.qa.requests) >= asked + 2)
        job.send_signal(signal.SIGKILL)
        await job.outcome()
        outcome = await world.run_job(("resume", "night"), env=env)
        again = world.qa.requests[asked:]
        assert {request.tickers[0] for request in again} == {"T0"}
        assert len({request.headers["idempotency-key"] for request in again}) == len(CARDS)
        return outcome

    return play


def _refuse_one(world: World) -> None:
    world.qa.script.append(Fault(when.both(when.ticker("T0"), when.card("risk_card")), do.status(422)))


def whole(world: World, outcome: Outcome) -> None:
    """Every card was asked for, and what was done before is skipped."""
    cards = outcome.finished["cards"]
    assert cards["generated"] + cards["skipped"] == PLANNED
    assert len({(request.tickers[0], request.card) for request in world.qa.requests}) == PLANNED


def _beside(count: int, changes: Callable[[World], Env]) -> Play:
    """Starts so many runs with these changes while one is at work; judges the last of them."""

    async def play(world: World, env: Env) -> Outcome:
        gate = trio.Event()  # the one is at work until the others have gone
        world.news.script.append(Fault(when.always, do.held(gate)))
        env = {**env, **altered(world.directory, EAGER_LEASE), "NEWS_ENGINE_TIMEOUT": "60"}
        first = await world.start_job(env={**env, "RUN_ID": "first"})
        await until(lambda: world.news.requests)
        asked = len(world.seen)
        others = [
            await world.start_job(env={**env, **changes(world), "RUN_ID": f"other-{number}"}) for number in range(count)
        ]
        outcomes = [await job.outcome() for job in others]
        assert {(outcome.exit_code, outcome.finished["outcome"]) for outcome in outcomes} == {(75, "busy")}
        assert "run first of" in outcomes[-1].finished["message"]
        assert ["run first of" in notice for notice in watches(outcomes[-1])] == [True]
        assert [seen for seen in world.seen[asked:] if seen.service in {"metadata", "qa"}] == []
        gate.set()
        assert (await first.outcome()).exit_code == 0
        assert world.news.traffic.peak_in_flight <= 8
        assert len(world.qa.requests) == PLANNED
        return outcomes[-1]

    return play


def another_day(_world: World) -> Env:
    return {"RUN_DATE": "2026-01-01"}


def other_engines(world: World) -> Env:
    """Production beside staging: the same config, and engines elsewhere."""
    return {f"{name.upper()}_ENGINE_URL": world.elsewhere.url for name in world.engines}


def _followed(count: int, *, interrupted: bool) -> Play:
    """Starts so many more while the day's run is at work, which is then interrupted or not; judges the last of them."""

    async def play(world: World, env: Env) -> Outcome:
        gate = trio.Event()
        world.news.script.append(Fault(when.always, do.held(gate)))
        env = {**env, **altered(world.directory, EAGER_LEASE), "RUN_ID": None, "NEWS_ENGINE_TIMEOUT": "60"}
        first = await world.start_job(env=env)
        await until(lambda: world.news.requests)
        others = [await world.start_job(env=env) for _ in range(count)]
        await until(lambda: all(follows(job) for job in others), 40)
        if interrupted:
            first.send_signal(signal.SIGTERM)
            await first.outcome()
        gate.set()
        outcomes = [await first.outcome(), *[await job.outcome() for job in others]]
        assert [one.exit_code for one in outcomes] == [143 if interrupted else 0] + [0] * count
        return _one_run(world, outcomes)

    return play


def _together(count: int, run_id: str | None) -> Play:
    """All are started at the same moment: one opens the day's run, and the others follow it."""

    async def play(world: World, env: Env) -> Outcome:
        env = {**env, **altered(world.directory, EAGER_LEASE), "RUN_ID": run_id}
        jobs = [await world.start_job(env=env) for _ in range(count)]
        outcomes = [await job.outcome() for job in jobs]
        assert [one.exit_code for one in outcomes] == [0] * count
        return _one_run(world, outcomes)

    return play


def follows(job: Job) -> bool:
    """Whether it has said that it follows another start."""
    return any("following it" in line.get("message", "") for line in job.lines)


def _one_run(world: World, outcomes: list[Outcome]) -> Outcome:
    """One that called nothing, of several starts that were one run."""
    assert len({one.finished["run"] for one in outcomes}) == 1
    assert len(world.qa.requests) == PLANNED
    assert len({trace for trace in (seen.headers.get("traceparent", "")[:35] for seen in world.seen) if trace}) == 1
    return next(one for one in reversed(outcomes) if one.finished["cards"]["skipped"] == PLANNED)


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
    assert (other.exit_code, other.finished["outcome"]) == (0, "succeeded"), "a stopped process is not at work"
    assert len(world.qa.requests) == asked + PLANNED
    os.kill(job.process.pid, signal.SIGCONT)
    outcome = await job.outcome()
    assert len(world.qa.requests) == asked + PLANNED, "not one call after it woke up"
    return outcome


async def suspended(world: World, env: Env) -> Outcome:
    """The machine sleeps for an hour while cards are in flight, which the monotonic clock does not count."""
    world.qa.latency = steady(0.5)
    flag = world.directory / "suspended"
    env = {**env, **altered(world.directory, SUSPENDED.format(flag=str(flag))), "QA_ENGINE_CONCURRENCY": "2"}
    job = await world.start_job(env=env)
    await until(lambda: len(world.qa.requests) >= 4)
    flag.touch()
    asked = len(world.qa.requests)
    outcome = await job.outcome()
    assert len(world.qa.requests) <= asked + 1, "a card was asked for after the machine woke up"
    return outcome


def watches(outcome: Outcome) -> list[str]:
    """The notices of a lease that is watched."""
    return [line["message"] for line in outcome.events("config.noticed") if line["message"].startswith("Waiting up to")]


@contextmanager
def unreaped(world: World, env: Env) -> Iterator[Callable[[], None]]:
    """A job that, once killed, stays as a zombie until this ends: nobody asks how it ended. Gives what kills it."""
    command = [sys.executable, "-m", "job"]
    nothing = subprocess.DEVNULL
    with subprocess.Popen(
        command, cwd=ROOT, env=world.environment(**env), stdin=nothing, stdout=nothing, stderr=nothing
    ) as process:

        def kill() -> None:
            os.kill(process.pid, signal.SIGKILL)
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

        try:
            yield kill
        finally:
            process.kill()


async def zombie(world: World, env: Env) -> Outcome:
    """The run is killed, and continued before its parent has asked how it ended."""
    world.qa.latency = steady(0.4)
    with unreaped(world, env) as kill:
        await until(lambda: len(world.qa.requests) >= 5)
        kill()
        outcome = await world.run_job(("resume", "night"), env=env)
    assert watches(outcome) == []
    return outcome


def _left_behind(place: str, stamp: float) -> Play:
    """A run of this place has left its lease, stamped so many seconds from now; its process number is in use."""

    async def play(world: World, env: Env) -> Outcome:
        holder = Holder(
            owner="gone",
            run_id="gone",
            plan="a plan",
            day="2026-11-24",
            since="2026-11-24T22:00:00+00:00",
            machine=place,
            pid=os.getpid(),
            execution=None,
            task_attempt=0,
        )
        runs = world.directory / "disk"
        runs.mkdir()
        (runs / LEASE).write_text(holder.model_dump_json())
        os.utime(runs / LEASE, (time.time() + stamp,) * 2)
        env = {**env, **altered(world.directory, SHORT_LEASE), "RUNS_URI": str(runs)}
        outcome = await world.run_job(env=env, seconds=20)
        (notice,) = watches(outcome)
        assert "run gone of 2026-11-24" in notice
        return outcome

    return play


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


def _stood_back(name: str, play: Play) -> Case:
    """A case in which a run with other work is alive."""
    return Case(name, "busy", 75, cards=(0, 0, 0, 0), play=play, record=False, seconds=60.0)


def _all_there(name: str, play: Play) -> Case:
    """A case in which another start has done everything."""
    return Case(name, "succeeded", 0, cards=(0, PLANNED, 0, 0), play=play, record=False, seconds=60.0)


def _mistyped(*names: str) -> Play:
    """A run is to go on without these."""

    async def play(world: World, env: Env) -> Outcome:
        world.qa.script.append(Fault(when.nth(1), do.status(422)))
        assert (await world.run_job(env=env)).exit_code == 3
        asked = [len(engine.requests) for engine in world.engines.values()]
        outcome = await world.run_job(("resume", "night", "--without", *names), env=env)
        assert [len(engine.requests) for engine in world.engines.values()] == asked
        return outcome

    return play


NONE = (0, 0, 0, PLANNED)
ROWS = (
    Row(
        "without",
        "`--without` names what is no target of the run, more than 20 targets, or all of them",
        "one error for each name, with the nearest ones; nothing was called",
        "write the ids as the config has them",
        (
            Case("typo", "bad_config", 2, play=_mistyped("T1O"), says="the nearest: T1", record=False),
            Case("all", "bad_config", 2, play=_mistyped(*TICKERS), says="leaves nothing", record=False),
        ),
    ),
    Row(
        "SIGTERM",
        "SIGTERM: the task's timeout, a cancelled execution; SIGHUP: a closed terminal",
        "no new call, not over a connection that is just being opened either; data calls are cut off, cards in flight "
        "get 5 s; record and report are closed within 3 s",
        "start it again; on Cloud Run the task's retry does so by itself",
        (
            Case("data", "interrupted", 143, cards=NONE, play=_signalled(signal.SIGTERM, "news"), fast=True),
            Case("cards", "interrupted", 143, play=_signalled(signal.SIGTERM, "qa")),
            Case("hangup", "interrupted", 143, play=_signalled(signal.SIGHUP, "qa")),
            succeeded_again("and again", _resumed(signal.SIGTERM, "qa")),
        ),
    ),
    Row(
        "SIGINT",
        "SIGINT: Ctrl-C",
        "everything is cut off at once; record and report are closed within 3 s",
        "start it again",
        (
            Case("data", "interrupted", 130, cards=NONE, play=_signalled(signal.SIGINT, "trading")),
            Case("cards", "interrupted", 130, play=_signalled(signal.SIGINT, "qa")),
            succeeded_again("and again by hand", _resumed(signal.SIGINT, "qa", hand=True)),
        ),
    ),
    Row(
        "two signals",
        "a second Ctrl-C or SIGTERM before the run has ended",
        "the process ends at once, without its last line, report and message; one line on standard error has the "
        "command that starts it again. The record is kept; the results of the last 5 s are not in it: they are "
        "requested again with the same key",
        "start it again",
        (succeeded_again("and again by hand", _resumed_after_two_signals),),
    ),
    Row(
        "SIGKILL",
        "SIGKILL: out of memory, a machine that is gone",
        "nothing; the results of the last 5 s are not recorded: they are requested again with the same key",
        "start it again; on Cloud Run the task's retry does so by itself",
        (
            succeeded_again("data", _resumed(signal.SIGKILL, "news")),
            succeeded_again("cards", _resumed(signal.SIGKILL, "qa"), fast=True),
        ),
    ),
    Row(
        "remake",
        "a person wants cards again (`remake`), and some are not made again",
        "the old cards count as done, in `verify` too; the outcome says how many were not made again",
        "start the run again: it requests these with the same key",
        (
            Case("one is refused", "cards_missing", 3, cards=(2, PLANNED - 2, 0, 0), play=_remade(_refuse_one)),
            Case("killed, and resumed", "succeeded", 0, play=_remade(lambda _: None, killed=True)),
        ),
    ),
    Row(
        "another run",
        "the day's run is at work: a tick that was delivered twice, a second button",
        "the second start says that it follows the first one, waits for its end, and does then what is left",
        "nothing",
        (
            _all_there("one more", _followed(1, interrupted=False)),
            _all_there("four of them", _followed(4, interrupted=False)),
            _all_there("three, and the first is interrupted", _followed(3, interrupted=True)),
            _all_there("five at the same moment", _together(5, None)),
            _all_there("five with one RUN_ID", _together(5, "night")),
        ),
    ),
    Row(
        "another day's run",
        "a run of another day or config is at work",
        "it calls no engine, and names the run that has the lease",
        "start it again later",
        (
            _stood_back("another day", _beside(1, another_day)),
            _stood_back("four of them", _beside(4, another_day)),
        ),
    ),
    Row(
        "other engines",
        "staging and production have one config and one `RUNS_URI`",
        "while one is at work, the other calls no engine; neither continues the other's run",
        "give each of them a `RUNS_URI` of its own",
        (_stood_back("at the same time", _beside(1, other_engines)),),
    ),
    Row(
        "zombie",
        "a run was killed, and its parent process has not noticed yet (a zombie)",
        "nothing: the process counts as ended, and `resume` starts at once",
        "nothing",
        (succeeded_again("resumed", zombie),),
    ),
    Row(
        "lease left behind",
        "a run has ended without releasing its lease: it was on another machine, the lease's time is in the future, or "
        "another program has its process number now",
        "one notice names that run; if the lease is not renewed for a minute, the new run starts",
        "nothing",
        (
            succeeded("stamped in the future", play=_left_behind("elsewhere", 3600.0), record=False),
            succeeded("from another machine", play=_left_behind("elsewhere", -3600.0), record=False),
            succeeded("another program's number", play=_left_behind(machine(), 0.0), record=False),
        ),
    ),
    Row(
        "lease lost",
        "the process was paused, or its machine asleep, for longer than its lease lasts",
        "it stops, since another run may be at work",
        "start it again once no other run is at work",
        (
            Case("for seconds", "lease_lost", 75, play=paused, says="lost its lease", record=False, seconds=60.0),
            Case("asleep", "lease_lost", 75, play=suspended, says="lost its lease", record=False),
        ),
    ),
    Row(
        "clock",
        "the machine's clock jumps",
        "nothing: only the times in log and record are affected",
        "nothing",
        (succeeded("to and fro", play=clock_jumps),),
    ),
    Row(
        "deadline",
        "`RUN_DEADLINE_SECONDS` have passed",
        "no new call; data calls are cut off, cards in flight get 5 s; the outcome says how many cards are there",
        "start it again; on Cloud Run the task's retry does so by itself",
        (
            _late("config", deadline_at_the_config, (0, 0, 0, 0), bucket=True, record=False),
            _late("data", _deadline("financial", 20.0), NONE),
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
            succeeded("for a while", play=unread),
            Case("and SIGINT", "interrupted", 130, cards=(27, 0, 3, 0), play=_unread_until_signalled(signal.SIGINT)),
        ),
    ),
)

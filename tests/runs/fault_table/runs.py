"""What can happen to the process itself: signals, kills, the deadline, another start, a wrong command, a bug."""

import signal

import trio

from tests.runs.fault_table.row import NO_PLAN, NONE, PLANNED, Case, Env, Play, Row, bad_config, nothing, succeeded
from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.job import Outcome
from tests.simulators.service import Fault
from tests.simulators.world import World
from tests.support.altered import BUG, altered
from tests.support.runs import QUICK, asked_cards
from tests.support.world import VirtualWorld

AGAIN_ON_CLOUD_RUN = {"CLOUD_RUN_EXECUTION": "night-1"}


async def _mistyped(world: World, env: Env) -> Outcome:
    """After a start that made all cards but one."""
    world.qa.script.append(Fault(when.nth(1), do.status(422)))
    env = {**env, **world.chat.env("feishu")}
    assert (await world.run_job(env=env)).exit_code == 3
    asked = len(world.seen)
    outcome = await world.run_job(("run", "--again", "T1O/news_card"), env=env)
    assert len(world.seen) == asked
    assert len(world.chat.texts) == 1, "that of the first start"
    assert "start_command" not in outcome.finished, "it would fail again"
    return outcome


async def _signalled(world: World, env: Env) -> Outcome:
    """The signal comes when the first card has been requested."""
    world.qa.latency = steady(0.8)
    job = await world.start_job(env=env)
    await world.qa.until(bool)
    job.send_signal(signal.SIGTERM)
    return await job.outcome()


async def _signalled_twice(world: World, env: Env) -> Outcome:
    """The second signal comes while cards that are in flight may still answer; then it is started again."""
    world.qa.latency = steady(0.4)
    job = await world.start_job(env={**env, **AGAIN_ON_CLOUD_RUN})
    await world.qa.until(lambda seen: len(seen) >= 5)
    world.qa.latency = steady(3.0)
    await world.qa.until(lambda seen: len(seen) >= 20)
    job.send_signal(signal.SIGTERM)
    await trio.sleep(0.3)
    job.send_signal(signal.SIGINT)
    ended = await job.outcome()
    assert (ended.exit_code, ended.events("run.finished")) == (130, [])
    world.qa.latency = QUICK
    return await world.run_job(env={**env, **AGAIN_ON_CLOUD_RUN, "CLOUD_RUN_TASK_ATTEMPT": "1"})


async def _killed(world: World, env: Env) -> Outcome:
    """It is killed while cards are in flight, and started again by hand."""
    world.qa.latency = steady(0.4)
    job = await world.start_job(env={**env, **AGAIN_ON_CLOUD_RUN})
    await world.qa.until(lambda seen: len(seen) >= 5)
    job.send_signal(signal.SIGKILL)
    assert (await job.outcome()).exit_code == -signal.SIGKILL  # a shell shows 137 for -9
    return await world.run_job(env=env, seconds=90)


def _each_asked_for(world: World, _: Outcome) -> None:
    assert len(asked_cards(world)) == PLANNED


async def _beside(world: World, env: Env, *arguments: str) -> tuple[Outcome, Outcome]:
    """Two starts: the news of the first one are held until the second one has ended, or for 80 s."""
    gate = trio.Event()
    world.news.script.append(Fault(when.always, do.held(gate)))
    env = {**env, "NEWS_ENGINE_TIMEOUT": "90"}
    first = await world.start_job(env=env)
    await world.news.until(bool)
    second = await world.start_job("run", *arguments, env=env)
    with trio.move_on_after(80):
        await second.outcome()
    gate.set()
    return await first.outcome(), await second.outcome()


async def _waiting(world: World, env: Env) -> Outcome:
    first, second = await _beside(world, env)
    assert first.exit_code == 0
    assert asked_cards(world).total() == PLANNED
    assert any(" has been done since " in note for note in second.finished["notes"])
    return second


async def _again_beside(world: World, env: Env) -> Outcome:
    first, second = await _beside(world, env, "--again", "T1/news_card")
    assert first.exit_code == 0
    assert asked_cards(world).total() == PLANNED
    assert "start_command" not in second.finished
    return second


async def _again_unknown(world: World, env: Env) -> Outcome:
    """The entry of the attempt is written, and its answer is lost: a plain start makes what is asked for, once."""
    assert isinstance(world, VirtualWorld)
    assert (await world.run_job(env=env)).exit_code == 0
    world.runs.lose = lambda _verb, name: "/attempts/" in name
    unknown = await world.run_job(("run", "--again", "T1/news_card"), env=env)
    world.runs.lose = lambda _verb, _name: False
    assert "start_command" not in unknown.finished
    assert (await world.run_job(env=env)).finished["notes"] == ["Made again: T1/news_card"]
    assert asked_cards(world).total() == PLANNED + 1
    return unknown


async def _paused(world: World, env: Env) -> Outcome:
    """The process sleeps for longer than its lease lasts, as in a live migration, and wakes up with calls in flight."""
    world.qa.latency = steady(0.3)
    job = await world.start_job(env={**env, "QA_ENGINE_CONCURRENCY": "2"})
    await world.qa.until(lambda seen: len(seen) >= 4)
    job.send_signal(signal.SIGSTOP)
    other = await world.run_job(env=env, seconds=90)
    assert (other.exit_code, other.finished["outcome"]) == (0, "succeeded")
    asked = len(world.qa.requests)
    job.send_signal(signal.SIGCONT)
    outcome = await job.outcome()
    assert len(world.qa.requests) == asked, "not one call after it woke up"
    return outcome


def _deadline(service: str, latency: float) -> Play:
    async def play(world: World, env: Env) -> Outcome:
        world.engines[service].latency = steady(latency)
        timeout = {f"{service.upper()}_ENGINE_TIMEOUT": "60"}
        return await world.run_job(env={**env, **timeout, "RUN_DEADLINE_SECONDS": "3"}, seconds=15)

    return play


async def _unread(world: World, env: Env) -> Outcome:
    """Nobody reads what the job prints until all of its cards but one are there."""
    gate, reading = trio.Event(), trio.Event()
    world.qa.script.append(Fault(when.both(when.ticker("T0"), when.card("news_card")), do.held(gate)))
    job = await world.start_job(env={**env, "QA_ENGINE_TIMEOUT": "20"}, reading=reading)
    await world.qa.until(lambda seen: sum(request.status == 200 for request in seen) == PLANNED - 1)
    reading.set()
    gate.set()
    outcome = await job.outcome()
    assert len(outcome.events("call.finished")) == 2 * 4 + 8 + PLANNED
    assert "lines_dropped" not in outcome.finished
    return outcome


def _with_a_bug(world: World) -> Env:
    return altered(world.directory, BUG)


def _told(_: World, outcome: Outcome) -> None:
    assert outcome.stderr.count("ZeroDivisionError: unforeseen") == 1


ROWS = (
    Row(
        "command",
        "the command names what the config does not have, or a day that [wants "
        "`--yes`](reference.md#another-day-and---yes)",
        "Each name has an error, with similar names. Nothing is called, recorded or sent to a chat.",
        "Correct the names or the day, or add `--yes` if that is meant.",
        (bad_config("--again", nothing, "similar names: T1", play=_mistyped, record=False),),
    ),
    Row(
        "signal",
        "SIGTERM (the task's timeout, a cancelled execution), SIGHUP (a closed terminal) or SIGINT (Ctrl-C)",
        "No call starts any more, and data calls are cut off. The cards in flight get 5 s more, but not after Ctrl-C. "
        "The record and page are closed within 3 s.",
        "Start again.",
        (Case("SIGTERM, cards", "interrupted", 143, cards=(16, 0, PLANNED - 16), play=_signalled),),
    ),
    Row(
        "two signals",
        "a second Ctrl-C or SIGTERM before the start has ended",
        "The process ends at once, without a last line, page or message. A line on standard error has the command "
        "that starts it again.",
        "Start again.",
        (succeeded("and again", play=_signalled_twice, check=_each_asked_for),),
    ),
    Row(
        "SIGKILL",
        "SIGKILL (exit code 137): out of memory, or the machine is gone",
        "Nothing. Calls that ended in the last 3 s are made again, with the same keys. Cloud Run's retry goes on at "
        "once; another start waits until nobody has renewed the lease for 60 s.",
        "Start again.",
        (succeeded("by hand", play=_killed, says="Waiting up to 60 s", check=_each_asked_for),),
    ),
    Row(
        "another run",
        "another start is at work",
        "The second start says for which one it waits, and then does what is left.",
        "Nothing.",
        (succeeded("one more", play=_waiting, says="Waiting for another start", record=False),),
    ),
    Row(
        "again beside a run",
        "somebody asks for `--again` while or just after another start is at work",
        "Nothing is called or recorded, because the other start may be making these cards.",
        "Look at what the other start makes, then ask again.",
        (Case("one card", "busy", 75, cards=NO_PLAN, play=_again_beside, record=False),),
    ),
    Row(
        "again unknown",
        "storage fails, or a signal comes, before the job knows whether its `--again` is recorded",
        "Nothing is called.",
        "Look at how the day stands. If something is missing, a plain start makes it; otherwise ask again.",
        (Case("no answer", "storage_failed", 75, cards=NO_PLAN, play=_again_unknown, record=False),),
    ),
    Row(
        "lease lost",
        "the process was paused, or its machine asleep, for longer than the lease lasts",
        "It makes no further call, because another start may be at work.",
        "Start again: the new start waits if it has to.",
        (Case("paused", "busy", 75, play=_paused, says="Another start may have taken over", record=False),),
    ),
    Row(
        "deadline",
        "`RUN_DEADLINE_SECONDS` have passed",
        "No call starts any more, and data calls are cut off. The cards in flight get 5 s more. The last line says "
        "how many cards are made.",
        "Start again.",
        (
            Case("data", "deadline", 4, cards=NONE, play=_deadline("financial", 20.0)),
            Case("cards that hang", "deadline", 4, cards=(0, 16, PLANNED - 16), play=_deadline("qa", 50.0)),
        ),
    ),
    Row(
        "no reader",
        "nobody reads what the job prints, as after Ctrl-S",
        "The cards are made. Up to 8 MiB of lines wait; then lines about single calls are dropped and counted "
        "(`lines_dropped`). At the end the job waits 1 s for the reader.",
        "Nothing: `python -m job report` shows what the log lacks.",
        (succeeded("for a while", play=_unread, place="process"),),
    ),
    Row(
        "bug",
        "the job has a bug",
        "The traceback is on standard error. The record is closed, and the lease released.",
        "Report the traceback, and go back to an earlier version.",
        (Case("in the cards", "unforeseen", 70, _with_a_bug, NONE, "The job has a bug", check=_told, place="process"),),
    ),
)

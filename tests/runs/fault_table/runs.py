"""What can happen to the process itself: signals, kills, the deadline, another start, a wrong command, a bug."""

from tests.runs.fault_table.row import NO_PLAN, NONE, PLANNED, Case, Env, Play, Row
from tests.simulators.engines import steady
from tests.simulators.job import Outcome
from tests.simulators.world import World
from tests.support.altered import BUG, altered
from tests.support.runs import asked_cards
from tests.support.world import VirtualWorld


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


def _deadline(service: str, latency: float) -> Play:
    async def play(world: World, env: Env) -> Outcome:
        world.engines[service].latency = steady(latency)
        timeout = {f"{service.upper()}_ENGINE_TIMEOUT": "60"}
        return await world.run_job(env={**env, **timeout, "RUN_DEADLINE_SECONDS": "3"}, seconds=15)

    return play


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
    ),
    Row(
        "signal",
        "SIGTERM (the task's timeout, a cancelled execution), SIGHUP (a closed terminal) or SIGINT (Ctrl-C)",
        "No call starts any more, and data calls are cut off. The cards in flight get 5 s more, but not after Ctrl-C. "
        "The record and page are closed within 3 s.",
        "Start again.",
    ),
    Row(
        "two signals",
        "a second Ctrl-C or SIGTERM before the start has ended",
        "The process ends at once, without a last line, page or message. A line on standard error has the command "
        "that starts it again.",
        "Start again.",
    ),
    Row(
        "SIGKILL",
        "SIGKILL (exit code 137): out of memory, or the machine is gone",
        "Nothing. Calls that ended in the last 3 s are made again, with the same keys. Cloud Run's retry goes on at "
        "once; another start waits until nobody has renewed the lease for 60 s.",
        "Start again.",
    ),
    Row(
        "another run",
        "another start is at work",
        "The second start says for which one it waits, and then does what is left.",
        "Nothing.",
    ),
    Row(
        "again beside a run",
        "somebody asks for `--again` while or just after another start is at work",
        "Nothing is called or recorded, because the other start may be making these cards.",
        "Look at what the other start makes, then ask again.",
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
    ),
    Row(
        "bug",
        "the job has a bug",
        "The traceback is on standard error. The record is closed, and the lease released.",
        "Report the traceback, and go back to an earlier version.",
        (Case("in the cards", "unforeseen", 70, _with_a_bug, NONE, "The job has a bug", check=_told, place="process"),),
    ),
)

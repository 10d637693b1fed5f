"""What can be wrong with storage: where the config is read, where days are recorded."""

import trio

from tests.runs.fault_table.row import (
    Arrange,
    Case,
    Env,
    Play,
    Row,
    bad_config,
    nothing,
    storage_failed,
    strike,
    succeeded,
)
from tests.simulators import do, when
from tests.simulators.engines import steady
from tests.simulators.job import Outcome
from tests.simulators.when import When
from tests.simulators.world import World
from tests.support.world import VirtualWorld


def writes_of(part: bytes) -> When:
    """The writes of objects with this in their names: an upload names its object in its body."""
    is_write = when.method("POST", "PUT", "DELETE")
    return lambda seen: is_write(seen) and (part in seen.body or part.decode() in seen.path)


def _refusing(*parts: str, verbs: tuple[str, ...] = ("read", "create", "replace", "delete", "names")) -> Arrange:
    """The store in memory refuses requests for names with one of these parts."""

    def arrange(world: World) -> None:
        assert isinstance(world, VirtualWorld)
        for store in world.stores.values():
            store.refuse = lambda verb, name: verb in verbs and any(part in name for part in parts)

    return arrange


def _changed(**variables: str) -> Arrange:
    return lambda world: {name: value.format(directory=world.directory) for name, value in variables.items()}


async def _faulty(world: World, env: Env) -> Outcome:
    await world.configure("ticker_list.json", ["A", "a/b"])
    return await world.run_job(env=env)


async def _down_and_retried(world: World, env: Env) -> Outcome:
    """Storage is down when the config is read, and is back when Cloud Run starts the task again."""
    assert isinstance(world, VirtualWorld)
    env = {**env, "CLOUD_RUN_EXECUTION": "night-1"}
    world.stores[world.config_uri].refuse = lambda _verb, _name: True
    first = await world.run_job(env=env)
    assert (first.finished["outcome"], first.exit_code) == ("storage_failed", 75)
    assert first.finished["message"] == "Storage failed: nothing was called"
    world.stores[world.config_uri].refuse = lambda _verb, _name: False
    return await world.run_job(env={**env, "CLOUD_RUN_TASK_ATTEMPT": "1"})


def _outage(seconds: float, latency: float) -> Play:
    """Storage is down for so long from the first card on; each card takes so long."""

    async def play(world: World, env: Env) -> Outcome:
        assert isinstance(world, VirtualWorld)
        world.qa.latency = steady(latency)
        job = await world.start_job(env={**env, "QA_ENGINE_TIMEOUT": "20", "QA_ENGINE_CONCURRENCY": "4"})
        await world.qa.until(bool)
        world.runs.refuse = lambda _verb, _name: True
        with trio.move_on_after(seconds):
            await job.outcome()
        world.runs.refuse = lambda _verb, _name: False
        return await job.outcome()

    return play


def _unrecorded(_: World, outcome: Outcome) -> None:
    finished = outcome.finished
    assert finished["severity"] == "WARNING"
    assert finished["unrecorded"] > 0
    assert any(note.startswith("Do not start it again: all work is done") for note in finished["notes"])


def _recovered(_world: World, outcome: Outcome) -> None:
    """It was said once that storage failed, and once that it works again: not by the lease and by the journal."""
    said = [line["event"] for line in outcome.lines if line["event"].startswith("storage.")]
    assert said == ["storage.failed", "storage.recovered"]


ROWS = (
    Row(
        "config",
        "the config or a variable has a fault, or the config cannot be read",
        "Each fault is an error with its place and its remedy. Faults between config objects come once each is sound "
        "by itself. Nothing is called.",
        "Do what the error says.",
        (
            bad_config("an object", nothing, 'ticker_list.json: [1] (\\"a/b\\")', play=_faulty),
            bad_config("a variable", _changed(CARD_URL="http://h/{{ticker}}.png"), "CARD_URL: is not an https URL"),
            bad_config("no certificates", _changed(SSL_CERT_FILE="/no"), 'no\\" cannot be read (No such'),
        ),
    ),
    Row(
        "config saved",
        "somebody saves a config object while the job reads it",
        "Nothing: the job reads it again. If that happens each time, an error names the object.",
        "Nothing. After an error, start again when nobody is saving.",
    ),
    Row(
        "record",
        "`RUNS_URI` names a file, or a bucket that does not exist, or access is denied",
        "An error says so. Nothing is called.",
        "Correct `RUNS_URI`, or grant the job access to it.",
        (
            bad_config(
                "a file",
                _changed(RUNS_URI="{directory}/config/ticker_list.json"),
                "is not a directory",
                place="process",
                record=False,
            ),
            storage_failed(
                "403", strike("storage", writes_of(b"_lease.json"), do.status(403)), "access is denied", place="bucket"
            ),
        ),
    ),
    Row(
        "damaged record",
        "an object of the day's record was removed or altered, or the day was begun with another `CONFIG_URI`",
        "An error names it. Nothing is called.",
        "Restore it. Or move the day's folder away: all its cards are then made, and paid for, again. Each config "
        "needs its own `RUNS_URI`.",
    ),
    Row(
        "storage at the start",
        "storage is down, or refuses the job, when a start begins",
        "Requests are repeated for 20 s, then the start ends. Nothing is called or recorded.",
        "Start again once storage works, or once the named right is back.",
        (succeeded("down, and a retry", play=_down_and_retried),),
    ),
    Row(
        "storage hiccups",
        "storage is slow, or fails now and then",
        "Nothing: the request is repeated.",
        "If it lasts, look for a proxy in between.",
    ),
    Row(
        "past nights",
        "past nights cannot be read, or a page cannot be written",
        "A notice says so. The cards are made, but not compared with the night before, or not shown on that page.",
        "If it lasts, check the object in the notice.",
        (
            succeeded("no list", _refusing("", verbs=("folders",)), says="past nights cannot be read"),
            succeeded(
                "no page",
                _refusing(".html", "cards.csv", verbs=("create", "replace")),
                says="could not write index.html",
            ),
        ),
    ),
    Row(
        "storage outage",
        "storage fails during a run, or the disk is full",
        "An error says so. Results are kept and written later, and cards are made while the lease holds. If results"
        " stay unwritten, the last line says how many (`unrecorded`).",
        "Nothing, if storage comes back or all cards are made. Otherwise repair storage: what is not recorded is "
        "requested again.",
        (
            succeeded("down and back", play=_outage(10, 3.0), check=_recovered),
            succeeded("down for longer than the lease waits", play=_outage(25, 3.0), check=_recovered),
            succeeded("down to the end", play=_outage(600, 0.1), check=_unrecorded, record=False),
            Case(
                "beyond the lease",
                "storage_failed",
                75,
                play=_outage(600, 15.0),
                record=False,
                says="could not write _lease.json: ",
            ),
        ),
    ),
)

"""What can be wrong with storage: where the config is read, where the run is recorded."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING

from tests.runs.fault_table.row import (
    CARDS,
    CONFIG,
    PLANNED,
    TICKERS,
    Arrange,
    Case,
    Env,
    Play,
    Row,
    data_failed,
    nothing,
    succeeded,
)
from tests.simulators import broken, do, when
from tests.simulators.engines import steady
from tests.simulators.service import Fault
from tests.support.altered import FULL_DISK, SHORT_LEASE, SHORT_PATIENCE, SMALL_FILES, altered
from tests.support.places import objects
from tests.support.runs import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.simulators.job import Outcome
    from tests.simulators.seen import Seen
    from tests.simulators.service import Do
    from tests.simulators.when import When
    from tests.simulators.world import World

ONE_CARD_EACH = dict.fromkeys(TICKERS, CARDS[:1])
WRITES = when.method("POST", "PUT", "DELETE")


def config(seen: object) -> bool:
    """A request for the config."""
    return "simulated-config" in getattr(seen, "path", "")


def writes_of(part: bytes) -> When:
    """The writes of objects with this in their names: an upload names its object in its body."""
    return lambda seen: WRITES(seen) and (part in seen.body or part.decode() in seen.path)


def listed(seen: Seen) -> bool:
    """A request for the list of all runs."""
    return dict(seen.query).get("prefix", "").endswith("_started/")


def _front(condition: When, act: Do) -> Arrange:
    def arrange(world: World) -> None:
        assert world.storage
        world.storage.script.append(Fault(condition, act))

    return arrange


def _lost(part: bytes) -> Arrange:
    return _front(writes_of(part), do.in_turn(broken.reset_after_work(), do.nothing()))


def _elsewhere(world: World) -> Env:
    (world.directory / "file").write_text("")
    return {"RUNS_URI": str(world.directory / "file")}


def _unreadable(world: World) -> Env:
    return {"CONFIG_URI": str(world.directory / "nowhere")}


def content_of(name: str) -> When:
    """The requests for what an object holds; those for its metadata come before."""
    return lambda seen: "/download/" in seen.path and seen.path.endswith(name)


def _saved(saved: Do) -> Play:
    """One card for each ticker is asked for; the object that says so is being saved when it is read."""

    async def play(world: World, env: Env) -> Outcome:
        assert world.storage
        await world.configure("card_targets.json", ONE_CARD_EACH)
        world.storage.script.append(Fault(content_of("card_targets.json"), saved))
        return await world.run_job(env=env)

    return play


async def saved_once(world: World, env: Env) -> Outcome:
    """The same is saved again between the request for the metadata and that for the content."""
    save = partial(world.configure, "card_targets.json", ONE_CARD_EACH)
    return await _saved(do.in_turn(do.meanwhile(save), do.nothing()))(world, env)


def _no_file(make: Callable[[Path], object]) -> Arrange:
    def arrange(world: World) -> Env:
        place = world.directory / "odd-config"
        place.mkdir()
        for name, content in CONFIG.items():
            (place / name).write_text(json.dumps(content))
        make(place / "card_targets.json")
        return {"CONFIG_URI": str(place)}

    return arrange


async def change_the_config(world: World, env: Env) -> Outcome:
    """Another list of tickers is written while the data are prepared."""
    world.news.latency = steady(0.5)
    job = await world.start_job(env=env)
    await until(lambda: world.news.requests)
    await world.configure("ticker_list.json", ["OTHER"])
    return await job.outcome()


NOT_READ = "The config could not be read: CONFIG_URI: gs://simulated-config/"


async def outage_of_the_config(world: World, env: Env) -> Outcome:
    """Storage is unavailable when the config is read, and is back when Cloud Run starts the task again."""
    assert world.storage
    down = Fault(config, do.status(503))
    world.storage.script.append(down)
    first = await world.run_job(env={**env, **altered(world.directory, SHORT_PATIENCE)})
    assert (first.finished["outcome"], first.exit_code) == ("no_lease", 75)
    assert first.finished["message"].startswith(NOT_READ)
    assert first.finished["message"].endswith(" s). Nothing was called.")
    assert await objects(world) == {}
    world.storage.script.remove(down)
    return await world.run_job(env={**env, "CLOUD_RUN_TASK_ATTEMPT": "1"})


async def outage(world: World, env: Env) -> Outcome:
    """Storage is unavailable from the first card on, for longer than Google's library tries, and comes back."""
    assert world.storage
    world.qa.latency = steady(0.8)
    job = await world.start_job(env={**env, **altered(world.directory, SHORT_PATIENCE)})
    await until(lambda: world.qa.requests)
    await world.storage.stop()
    await job.seen("storage.failed")
    await world.storage.start(world.nursery)
    return await job.outcome()


async def outage_to_the_end(world: World, env: Env) -> Outcome:
    """Storage fails from the first card on for good; the lease is still good when all are made."""
    assert world.storage
    changes = (SHORT_PATIENCE, "from job.records import lease\nlease.TRUSTED_SECONDS = 6.0")
    job = await world.start_job(env={**env, **altered(world.directory, *changes)})
    await until(lambda: world.qa.requests)
    await world.storage.stop()
    return await job.outcome()


def _unrecorded(_: World, outcome: Outcome) -> None:
    finished = outcome.finished
    assert finished["severity"] == "WARNING"
    assert finished["unrecorded"] > 0
    assert finished["message"].endswith("results: a resume would request them again.")
    assert any("the record is not complete" in line["message"] for line in outcome.events("storage.failed"))


async def outage_beyond_the_lease(world: World, env: Env) -> Outcome:
    """The lease runs out while cards are still to be made: another run may begin, so this one stops."""
    assert world.storage
    world.qa.latency = steady(0.5)
    job = await world.start_job(
        env={**env, **altered(world.directory, SHORT_LEASE, SHORT_PATIENCE), "QA_ENGINE_CONCURRENCY": "1"}
    )
    await until(lambda: world.qa.requests)
    await world.storage.stop()
    return await job.outcome()


async def failure_in_an_outage(world: World, env: Env) -> Outcome:
    """An engine fails while storage hangs: the record is tried for as long as the lease is trusted, then 3 s more."""
    assert world.storage
    world.news.script.append(Fault(when.nth(5), do.status(403, after=0.5)))
    job = await world.start_job(env=env)
    await until(lambda: len(world.news.requests) >= 5)
    world.storage.script.append(Fault(when.always, do.hang()))
    await until(lambda: world.news.requests[4].ended is not None)
    failed = time.monotonic()
    outcome = await job.outcome()
    assert job.started + outcome.seconds - failed < 60
    return outcome


async def full_disk(world: World, env: Env) -> Outcome:
    """There is no room from the first card on, and there is again later."""
    flag = world.directory / "full"
    world.qa.latency = steady(0.8)
    changed = altered(world.directory, FULL_DISK.format(flag=str(flag)))
    job = await world.start_job(env={**env, **changed, "RUNS_URI": str(world.directory / "disk")})
    await until(lambda: world.qa.requests)
    flag.touch()
    await job.seen("storage.failed")
    flag.unlink()
    return await job.outcome()


async def full_beyond_the_lease(world: World, env: Env) -> Outcome:
    """There is no room from the first card on; no other run is at work."""
    flag = world.directory / "full"
    world.qa.latency = steady(0.5)
    changed = altered(world.directory, SHORT_LEASE, FULL_DISK.format(flag=str(flag)))
    env = {**env, **changed, "RUNS_URI": str(world.directory / "disk"), "QA_ENGINE_CONCURRENCY": "1"}
    job = await world.start_job(env=env)
    await until(lambda: world.qa.requests)
    flag.touch()
    outcome = await job.outcome()
    assert "another run" not in outcome.finished["message"]
    return outcome


def _small_files(world: World) -> Env:
    changed = altered(world.directory, SMALL_FILES.format(size=1000))
    return {**changed, "RUNS_URI": str(world.directory / "disk")}


def recovered(_world: World, outcome: Outcome) -> None:
    """It was said once that storage failed, and once that it works again."""
    assert [line["event"] for line in outcome.lines if line["event"].startswith("storage.")] in (
        ["storage.failed", "storage.recovered"],
        ["storage.failed", "storage.recovered"] * 2,  # lease and journal, each in its own time
        ["storage.failed", "storage.failed", "storage.recovered", "storage.recovered"],
    )


def _no_lease(name: str, arrange: Arrange, says: str, **more: object) -> Case:
    return Case(name, "no_lease", 75, arrange, (0, 0, 0, 0), says, record=False, **more)  # type: ignore[arg-type]


def _bad_config(name: str, arrange: Arrange, says: str, **more: object) -> Case:
    return Case(name, "bad_config", 2, arrange, (0, 0, 0, 0), says, record=False, **more)  # type: ignore[arg-type]


ROWS = (
    Row(
        "config",
        "the config cannot be read",
        "one error per fault, each with object, place and remedy; nothing was called",
        "what the error says",
        (
            _bad_config("no such place", _unreadable, "nowhere is not a directory", fast=True),
            _bad_config("403", _front(config, do.status(403)), "access is denied", bucket=True),
        ),
    ),
    Row(
        "variable",
        "a variable is malformed, such as a `CARD_URL` that is not https",
        "one error per variable, with what to write; nothing was called",
        "what the error says",
        (
            _bad_config("http", lambda _: {"CARD_URL": "http://h/{ticker}.png"}, "is not an https URL", fast=True),
            _bad_config("placeholder", lambda _: {"CARD_URL": "https://h/{id}.png"}, "a brace that belongs to none of"),
        ),
    ),
    Row(
        "config outage",
        "storage is down while the config is read",
        "the requests are repeated for 20 s; then the run ends: nothing was called, and nothing is recorded",
        "nothing if Cloud Run starts it again; otherwise start it again once storage is back",
        (
            succeeded("down and back", play=outage_of_the_config, bucket=True, fast=True),
            _no_lease("503", _front(config, do.status(503)), NOT_READ, bucket=True, seconds=60.0),
            _no_lease("hangs", _front(config, do.hang()), NOT_READ, bucket=True, seconds=60.0),
        ),
    ),
    Row(
        "config is no file",
        "a config object in a directory is not a file: a dangling link, a directory",
        "one error that names it; it does not count as absent; nothing was called",
        "replace it with a file or remove it",
        (
            _bad_config("dangling link", _no_file(lambda path: path.symlink_to("nowhere")), "json is not a file"),
            _bad_config("directory", _no_file(lambda path: path.mkdir()), "json is not a file"),
        ),
    ),
    Row(
        "config saved",
        "a config object is saved while it is read",
        "nothing: it is read again; an error that names it if that goes on for 20 s",
        "nothing; after an error, start the run again when nobody is saving the object",
        (
            Case("once", "succeeded", 0, play=saved_once, cards=(len(TICKERS), 0, 0, 0), bucket=True),
            _bad_config(
                "always", nothing, "whenever it is read", play=_saved(do.status(412)), bucket=True, seconds=60.0
            ),
        ),
    ),
    Row(
        "config changed",
        "the config is changed in mid-run",
        "nothing: the config is read once, at the start; a resume keeps the recorded one",
        "nothing; the next run sees the change, and so does start it again",
        (succeeded("while data are prepared", play=change_the_config),),
    ),
    Row(
        "storage hiccups",
        "storage is slow, answers 503, or loses the answer to a write (412 at the second try)",
        "nothing: Google's library repeats the request; after a 412, the stored object is compared with what was sent",
        "nothing",
        (
            succeeded("slow", _front(when.always, do.slow(0.3)), bucket=True),
            succeeded("503", _front(when.every(3), do.status(503)), bucket=True, seconds=60.0),
            succeeded("lease lost", _lost(b"_lease.json"), bucket=True, fast=True),
            succeeded("inputs lost", _lost(b"inputs.json"), bucket=True),
            succeeded("results lost", _lost(b"results/"), bucket=True),
            succeeded("barrier lost", _lost(b"barrier-"), bucket=True),
            succeeded("report lost", _lost(b"report.json"), bucket=True),
        ),
    ),
    Row(
        "odd answers of storage",
        "an answer of storage is damaged, or is not Cloud Storage's",
        "nothing: the request is repeated; after a write, the object is read to check it. If the answers stay damaged, "
        "an error names the object",
        "nothing, unless it lasts: then check a proxy or other service between the job and storage",
        (
            succeeded(
                "damaged once", _front(when.both(content_of(".json"), when.attempt(1)), do.damaged()), bucket=True
            ),
            succeeded("odd once", _front(when.both(when.method("GET"), when.attempt(1)), do.body([])), bucket=True),
            succeeded("odd answers to all writes", _front(WRITES, do.body({})), bucket=True),
            _no_lease(
                "damaged always", _front(content_of(".json"), do.damaged()), "is damaged", bucket=True, seconds=60.0
            ),
            _no_lease("odd always", _front(config, do.body([])), "is not Cloud Storage's", bucket=True, seconds=60.0),
            _no_lease(
                "odd lease",
                _front(writes_of(b"_lease.json"), do.status(200, {})),
                "_lease.json: ",
                bucket=True,
                seconds=60.0,
            ),
        ),
    ),
    Row(
        "no lease",
        "runs cannot be recorded: no access to the bucket, or no such bucket",
        "the lease cannot be acquired; nothing was called",
        "correct `RUNS_URI`, or give the account `roles/storage.objectUser` on that bucket",
        (_no_lease("403", _front(WRITES, do.status(403)), "access is denied", bucket=True),),
    ),
    Row(
        "no directory",
        "`RUNS_URI` names a file, or a directory that cannot be created or written",
        "an error that says so, beside those of the config; nothing was called",
        "name a directory that can be written",
        (_bad_config("a file", _elsewhere, "is not a directory"),),
    ),
    Row(
        "past nights",
        "past nights cannot be read, or the page of the nights cannot be written",
        "a notice; the run goes on, but is not compared with the night before, or is not on that page",
        "nothing, unless it lasts: then check the object that the notice names",
        (
            succeeded("no list", _front(listed, do.status(403)), bucket=True, says="past nights cannot be read"),
            succeeded(
                "no page",
                _front(writes_of(b"index.html"), do.status(403)),
                bucket=True,
                says="the page of the nights is not written",
            ),
        ),
    ),
    Row(
        "storage outage",
        "storage is down in mid-run, or the disk is full",
        "an error says so; results are kept and written later; the run goes on for as long as its lease holds. If they "
        "cannot be written, the last line says how many the record lacks (`unrecorded`); it is a warning if all cards "
        "are made",
        "nothing if storage comes back; otherwise repair it, then start it again, which requests again "
        "what is not recorded",
        (
            succeeded("down and back", play=outage, check=recovered, bucket=True, seconds=60.0),
            succeeded("full and not", play=full_disk, check=recovered, record=False),
            Case(
                "no room for results",
                "deadline",
                4,
                _small_files,
                (0, 0, 0, PLANNED),
                "results are not written yet",
                record=False,
                env={"RUN_DEADLINE_SECONDS": "6"},
                seconds=60.0,
            ),
            succeeded(
                "down to the end",
                play=outage_to_the_end,
                check=_unrecorded,
                record=False,
                bucket=True,
                seconds=40.0,
            ),
            data_failed(
                "down at an engine's failure",
                lambda _world: None,
                "HTTP 403",
                play=failure_in_an_outage,
                record=False,
                bucket=True,
                seconds=80.0,
            ),
            Case(
                "beyond the lease",
                "lease_lost",
                75,
                play=outage_beyond_the_lease,
                record=False,
                bucket=True,
                says="The lease could not be renewed: ",
            ),
            Case(
                "full beyond the lease",
                "lease_lost",
                75,
                play=full_beyond_the_lease,
                record=False,
                says="/_lease.json: No space left on device. The run stopped; ",
            ),
        ),
    ),
)

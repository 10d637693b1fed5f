"""What is recorded of past runs: the latest of them, and whether today's was done."""

import json
from dataclasses import dataclass
from datetime import datetime

import trio

from job.inputs import RecordError
from job.record import STARTED, find_inputs
from job.store import StorageError, Store, blocking

LATEST = 20
LOOKED_AT = 50
"""Runs among which today's is sought."""
UNREAD = "?"
"""The day of a run whose record cannot be read."""


@dataclass(frozen=True, slots=True)
class Past:
    """One recorded run."""

    run_id: str
    started: str
    day: str
    outcome: str
    """`unfinished` where there is no report: it is at work, or was killed."""
    sentence: str


async def latest(store: Store, count: int) -> list[Past]:
    """The latest runs, the newest first. Raises `StorageError`."""
    names = await blocking(lambda: store.names(STARTED))
    ids = [name.removeprefix(STARTED).partition("_")[2] for name in reversed(names)]
    found: dict[str, Past] = {}
    errors: list[StorageError] = []

    async def look(run_id: str) -> None:  # noqa: ASYNC910  storage was awaited
        try:
            found[run_id] = await _past(store, run_id)
        except StorageError as error:
            errors.append(error)

    async with trio.open_nursery() as nursery:
        for run_id in ids[:count]:
            nursery.start_soon(look, run_id)
    if errors:
        raise errors[0]
    return [found[run_id] for run_id in ids[:count]]


async def verify(store: Store, today: str) -> tuple[bool, str]:
    """Whether a run of this day did all its work, and what is known. Raises `StorageError`."""
    recorded = await latest(store, LOOKED_AT)
    runs = [past for past in recorded if past.day == today]
    for past in runs:
        if past.outcome == "succeeded":
            return True, f"run {past.run_id} of {today} did all its work"
    what = "did all its work" if runs else "is recorded"
    runs += [past for past in recorded if past.day == UNREAD]  # it may be today's
    known = "; ".join(f"run {past.run_id}: {past.outcome}. {past.sentence}".rstrip(". ") for past in runs)
    return False, f"no run of {today} {what}" + (f": {known}" if known else "")


async def _past(store: Store, run_id: str) -> Past:
    try:
        inputs = await find_inputs(store, run_id)
    except RecordError as error:
        return Past(run_id, UNREAD, UNREAD, "unreadable", str(error))  # noqa: ASYNC910  storage was awaited
    if inputs is None:
        return Past(run_id, UNREAD, UNREAD, "unreadable", "its record has no inputs")
    report = await blocking(lambda: store.read(f"{run_id}/report.json"))
    outcome, sentence = "unfinished", ""
    if report is not None:
        try:
            value = json.loads(report.data)
            outcome, sentence = str(value["outcome"]), str(value["sentence"])
        except (ValueError, TypeError, LookupError):
            outcome, sentence = "unreadable", "its report is not what a run writes"
    started = datetime.fromisoformat(inputs.started).isoformat(sep=" ", timespec="seconds")
    return Past(run_id, started, inputs.day, outcome, sentence)

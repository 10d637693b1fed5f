"""The fault table: what can go wrong, what happens then, and what to do. job/faults.md shows it."""

from tests.runs.fault_table import chat, runs, statuses, storage, wire
from tests.runs.fault_table.row import Row
from tests.simulators.job import ROOT

PAGE = ROOT / "job" / "faults.md"
GROUPS = {
    "Statuses of the engines": statuses.ROWS,
    "Connections and answers": wire.ROWS,
    "Config and storage": storage.ROWS,
    "The start itself": runs.ROWS,
    "The message": chat.ROWS,
}
ROWS: tuple[Row, ...] = tuple(row for rows in GROUPS.values() for row in rows)

HEAD = """\
# Every fault

**Put right what the row names, then start the job again:** it makes what is missing. Tests
[write this page](../tests/README.md#add-a-fault).

## Outages

**An outage that is shorter than an engine's patience costs time, and nothing else.** The patience is 10 minutes
(`…_ENGINE_PATIENCE`). Two have
only a minute: a data engine that says that its work failed, and a token server that gives no token. Calls are repeated
[by these rules](engines/README.md#what-is-repeated).

After 5 s, log and terminal say which engine is out, and why. The job cannot know whether that engine will come back:
**if you see that it will not, cancel the execution**, put the cause right, and start again.

Message and page of a ✓ night note an outage of a minute or more, and repeated calls that made it late. If an outage is
longer than the patience, the engine is down: the start ends, within twice the patience and three timeouts. If it is QA,
cards that are made stay, and the others are not requested.
"""


def markdown() -> str:
    """The whole page."""
    return "\n".join((HEAD, *(f"## {title}\n\n{_table(rows)}" for title, rows in GROUPS.items())))


def _table(rows: tuple[Row, ...]) -> str:
    lines = ["| what happens | what you see | what to do |", "| --- | --- | --- |"]
    lines += [f"| {row.fault} | {row.sees} | {row.remedy} |" for row in rows]
    return "\n".join(lines) + "\n"

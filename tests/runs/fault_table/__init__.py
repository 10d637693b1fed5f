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

What can go wrong, what you see of it, [how the start ends](reference.md#exit-codes), and what to do. **Put right what
the row names, then start the job again:** it makes only what is missing. Cloud Run starts a failed task once more by
itself, but not one that was cancelled.

The tests cause each fault, and write this page: [how to add one](../tests/README.md#add-a-fault).

## Outages

**An outage of an engine that is shorter than its patience costs time, and nothing else.** The patience is 10 minutes
(`…_ENGINE_PATIENCE`). There is one exception: a data engine that itself says for a minute that its work failed has
failed. Where this page says that a call is repeated, it is [by these rules](engines/README.md#what-is-repeated).

After 5 s, log and terminal say which engine fails, and why. The job cannot tell an engine that will come back from one
that never can, such as one that it may not call: **if you see that it never can, cancel the execution**, put it right,
and start the job again.

An outage of a minute or more is noted, and the night stays ✓. One that is longer than the patience ends a start if it
is of a data engine. If it is of QA, what was tried has failed, and the rest is not requested.
"""


def markdown() -> str:
    """The whole page."""
    return "\n".join((HEAD, *(f"## {title}\n\n{_table(rows)}" for title, rows in GROUPS.items())))


def _table(rows: tuple[Row, ...]) -> str:
    lines = ["| what happens | what you see | how it ends | what to do |", "| --- | --- | --- | --- |"]
    for row in rows:
        own, after = (
            ", ".join(f"`{word}`" for _, word in sorted({(case.code, case.word) for case in cases}))
            for cases in ([one for one in row.cases if not one.is_next], [one for one in row.cases if one.is_next])
        )
        ended = own if row.gone is None else f"exit code {row.gone}"
        ended += f"; the next start: {after}" if after else ""
        lines.append(f"| {row.fault} | {row.sees} | {ended} | {row.remedy} |")
    return "\n".join(lines) + "\n"

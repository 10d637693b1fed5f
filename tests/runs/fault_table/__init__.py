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

What can go wrong, how a start ends then, and what to do. **Put right what the row names, then start the job again:** it
makes only what is missing. Cloud Run starts a task that failed once more by itself, but not one that was cancelled.

The tests cause each fault, and write this page: [how to add one](../tests/README.md#add-a-fault).

## Outages

**Tries belong to the call, patience to the engine.** Until an engine gives an answer of its own, a success or a
refusal, its calls wait and [are repeated](engines/README.md#what-is-repeated): one at a time, after pauses of 0.5 to
30 s. After 5 s, log and terminal say so.

Only after `…_ENGINE_PATIENCE`, 10 minutes, is it down: a data engine has failed; of QA, what was tried has failed, and
the rest is not requested. One exception: a card that may have cost twice is asked for again only once another is made.
A minute of outages in all is noted; the night stays ✓.
"""


def markdown() -> str:
    """The whole page."""
    return "\n".join((HEAD, *(f"## {title}\n\n{_table(rows)}" for title, rows in GROUPS.items())))


def _table(rows: tuple[Row, ...]) -> str:
    lines = ["| what happens | what the user sees | how it ends | what to do |", "| --- | --- | --- | --- |"]
    for row in rows:
        own, after = (
            ", ".join(f"{code} `{word}`" for code, word in sorted({(case.code, case.word) for case in cases}))
            for cases in ([one for one in row.cases if not one.is_next], [one for one in row.cases if one.is_next])
        )
        ended = own if row.gone is None else f"{row.gone}"
        ended += f"; the next start: {after}" if after else ""
        lines.append(f"| {row.fault} | {row.sees} | {ended} | {row.remedy} |")
    return "\n".join(lines) + "\n"

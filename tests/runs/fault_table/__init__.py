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

An engine that does not work is tried again until its patience is over, `…_ENGINE_PATIENCE`, 10 minutes: [these are the
rules](engines/README.md#what-is-repeated). **An outage that is shorter costs time, and nothing else**, unless a data
engine itself says, for a minute, that its work failed.

After 5 s, log and terminal say which engine fails, and why. An outage of a minute or more is noted; the night stays ✓.
If it lasts longer than the patience, a data engine has failed; of QA, what was tried has failed, and the rest is not
requested.

What can never work is told after 5 s too, and tried until the patience is over. Whoever sees it cancels the execution,
puts it right, and starts the job again.
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

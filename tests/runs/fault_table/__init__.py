"""The fault table: what can go wrong, what happens then, and what to do. job/reference.md shows it."""

from tests.runs.fault_table import chat, runs, statuses, storage, wire
from tests.runs.fault_table.row import Row

ROWS: tuple[Row, ...] = (*statuses.ROWS, *wire.ROWS, *storage.ROWS, *runs.ROWS, *chat.ROWS)
MARKS = ("<!-- faults -->\n", "<!-- /faults -->")


def markdown() -> str:
    """The table as the page shows it."""
    lines = ["| what happens | what the user sees | how it ends | what to do |", "| --- | --- | --- | --- |"]
    for row in ROWS:
        ends = dict.fromkeys((case.code, case.word) for case in row.cases)
        ended = ", ".join(f"{code} `{word}`" for code, word in sorted(ends))
        lines.append(f"| {row.fault} | {row.sees} | {ended} | {row.remedy} |")
    return "\n".join(lines) + "\n"

"""The fault table: what can go wrong, what happens then, and what is to be done. The README shows it."""

from tests.runs.fault_table import identity, runs, statuses, storage, wire
from tests.runs.fault_table.row import Row

ROWS: tuple[Row, ...] = (*statuses.ROWS, *wire.ROWS, *identity.ROWS, *storage.ROWS, *runs.ROWS)


def markdown() -> str:
    """The table as the README shows it."""
    lines = ["| what happens | what the user sees | how the run ends | what to do |", "| --- | --- | --- | --- |"]
    for row in ROWS:
        ends = dict.fromkeys((case.code, case.word) for case in row.cases)
        ended = ", ".join(f"{code} `{word}`" for code, word in sorted(ends))
        lines.append(f"| {row.fault} | {row.sees} | {ended} | {row.remedy} |")
    return "\n".join(lines) + "\n"

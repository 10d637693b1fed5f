"""The fault table: what can go wrong, what happens then, and what to do. Two pages show it."""

from collections.abc import Iterable

from tests.runs.fault_table import chat, runs, statuses, storage, wire
from tests.runs.fault_table.row import Row

ROWS: tuple[Row, ...] = (*statuses.ROWS, *wire.ROWS, *storage.ROWS, *runs.ROWS, *chat.ROWS)
LIKELIEST = ("config", "no", "poison", "500", "503", "hang", "403", "deadline")
"""The keys of the rows that the first page shows."""
PAGES: dict[str, tuple[Row, ...]] = {
    "job/README.md": ROWS,
    "README.md": tuple(row for key in LIKELIEST for row in ROWS if row.key == key),
}
"""The rows that each page has between its marks."""
MARKS = ("<!-- faults -->\n", "<!-- /faults -->")


def markdown(rows: Iterable[Row]) -> str:
    """These rows as a page shows them."""
    lines = ["| what happens | what the user sees | how it ends | what to do |", "| --- | --- | --- | --- |"]
    for row in rows:
        ends = dict.fromkeys((case.code, case.word) for case in row.cases)
        ended = ", ".join(f"{code} `{word}`" for code, word in sorted(ends))
        lines.append(f"| {row.fault} | {row.sees} | {ended} | {row.remedy} |")
    return "\n".join(lines) + "\n"

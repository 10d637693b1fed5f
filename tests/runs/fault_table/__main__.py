"""`python -m tests.runs.fault_table` writes the table into the pages that show it."""

from tests.runs.fault_table import MARKS, PAGES, markdown
from tests.simulators.job import ROOT

for name, rows in PAGES.items():
    page = ROOT / name
    before, begin, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    page.write_text(before + begin + markdown(rows) + end + after, encoding="utf-8")

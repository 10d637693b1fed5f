"""`python -m tests.runs.fault_table` writes the table into the page that shows it."""

from tests.runs.fault_table import MARKS, markdown
from tests.simulators.job import ROOT

page = ROOT / "job" / "reference.md"
before, begin, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
_, end, after = rest.partition(MARKS[1])
page.write_text(before + begin + markdown() + end + after, encoding="utf-8")

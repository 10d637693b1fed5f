"""`python -m tests.runs.fault_table` writes the page that shows the table."""

from tests.runs.fault_table import PAGE, markdown

PAGE.write_text(markdown(), encoding="utf-8")

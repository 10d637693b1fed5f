"""`python -m tests.fault_table` prints the table for the README."""

from tests.runs.fault_table import markdown

print(markdown(), end="")

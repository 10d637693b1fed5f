"""`python -m tests.fault_table` prints the table for the README."""

from . import markdown

print(markdown(), end="")

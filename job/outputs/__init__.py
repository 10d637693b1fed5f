"""Outputs: takes what happens in a start, and the view of its day; makes the terminal's text, log, pages, message."""

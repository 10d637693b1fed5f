"""Outputs: takes what happens while a start is at work, and the view of its day, and makes the terminal's text, the
log, both pages and the message of it.
"""

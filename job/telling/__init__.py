"""Telling: takes the facts of a day; returns what is said of it, in words, and what to do."""

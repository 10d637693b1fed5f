"""Nights by chance: whole starts in virtual time among engines that fail as drawn, and what may be lost in them.

`python -m tests.runs.nights_by_chance` plays some. All of it knows of the job only its commands, its variables, its
catalog of engines, its last line, its record and what the engines saw. `night` is what is drawn and `play` how it is
played. `promise` is what must hold of every start whatsoever, and `judge` what must hold of a night of which all is
known.
"""

"""Day: takes a plan and results in any order, and says how the day stands: the state of each item, totals, the report
in numbers and words, and what to do.
"""

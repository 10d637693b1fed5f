"""Day: takes a plan and results in any order; says how the day stands, in facts and numbers."""

"""Day: takes a plan and results in any order; says how the day stands, in numbers and words, and what to do."""

"""Report: takes a ledger and how a start ended, and says how the day stands, in numbers and words, and what to do."""

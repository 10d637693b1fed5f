"""Planning: takes config objects and options, and returns the plan: targets, their cards, and the calls for these."""

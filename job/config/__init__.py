"""Configuration: takes variables, options and config objects; returns checked values and the plan, or their faults."""

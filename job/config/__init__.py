"""Configuration: takes variables and the bytes of config objects, and returns checked values, or all faults at once."""

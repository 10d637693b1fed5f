"""Configuration: takes variables, options and the bytes of config objects, and returns checked values and the plan, or
all faults at once.
"""

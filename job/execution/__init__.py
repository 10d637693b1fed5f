"""Execution: takes the calls of a plan, makes them within limits, retries and the shutdown, and emits their results."""

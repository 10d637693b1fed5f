"""Execution of the calls: attempts, retries, limits, phases, shutdown."""

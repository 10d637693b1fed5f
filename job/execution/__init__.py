"""How the calls are made: attempts, retries, limits, phases, shutdown."""

"""How a run ended, in words and numbers: its report, what to do next, and the comparison with the night before."""

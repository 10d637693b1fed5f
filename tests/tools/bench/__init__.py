"""What a call costs: the real job beside the script that it replaces, against one fast engine on loopback.

`make bench` prints the table. `engine` is the engine, `script` is what the job is compared with, `measure` runs one of
the two against a fresh engine.
"""

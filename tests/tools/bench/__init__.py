"""What a call costs: the real job beside the script that it replaces, against one fast engine on loopback.

`make bench` prints the table. `engine` is the engine, `script` and `floor` are what the job is compared with, `measure`
runs one of the three against a fresh engine, `cases` says what is measured, `targets` what is to be reached.
"""

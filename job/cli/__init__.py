"""The command line: takes arguments and variables, and returns an exit code; a module for each group of commands."""

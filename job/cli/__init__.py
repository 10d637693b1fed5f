"""The command line: a module for what the user types."""

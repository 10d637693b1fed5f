"""Output: takes what happens while a start is at work, and prints it: as log lines, or on a terminal."""

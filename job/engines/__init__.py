"""How to talk to the four engines."""

"""Who gets what, and the calls that follow: pure, but for reading the objects."""

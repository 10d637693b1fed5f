"""Storage: objects in a bucket or a directory, behind one interface."""

"""Storage: takes the name of an object, and reads or writes it in a bucket or a directory, behind one interface."""

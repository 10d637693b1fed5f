"""Records: takes what a start adds to its day, and stores it under the lease; returns what is recorded of a day."""

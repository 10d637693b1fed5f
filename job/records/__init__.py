"""Records: what a day leaves in storage, how a later attempt goes on from it, and the lease."""

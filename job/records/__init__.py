"""What a run leaves in storage, and how a later attempt goes on from it."""

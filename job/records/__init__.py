"""Records: what a run writes to storage, and how a later attempt resumes from it."""

"""Page of a run: one HTML file, a pure function of the run's record."""

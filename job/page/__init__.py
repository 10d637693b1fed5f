"""The run's page: one HTML file, a pure function of its record."""

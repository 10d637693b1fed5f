"""Pages: that of a day and that of the nights, each one HTML file."""

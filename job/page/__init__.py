"""Pages: takes the view of a day, or the past nights, and returns one HTML file."""

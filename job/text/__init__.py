"""Text: takes messages and values, and returns what people read: translated, displayed, secrets masked."""

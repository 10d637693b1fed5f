"""Text for people: messages and their translations, the display of values, the masking of secrets."""

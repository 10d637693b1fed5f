"""Text for people: messages and their translations, values as they are shown, text from outside without secrets."""

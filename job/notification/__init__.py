"""Notification: one message to a chat when a run has ended; its text, the channels, and the sending."""

"""Notification: takes the view of a start that has ended, and sends one message to a chat."""

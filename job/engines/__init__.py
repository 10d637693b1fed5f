"""Engines: takes a call and a token, sends the request, and returns what the answer means."""

"""One message to a chat when a run is over: its text, the channels that take it, and how it is sent."""

"""Reporting: how a run is reported while it is in progress."""

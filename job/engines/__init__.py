"""Engines: the requests to the four engines, and what their answers mean."""

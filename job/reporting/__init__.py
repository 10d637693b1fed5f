"""How a run is reported while it happens."""

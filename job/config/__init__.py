"""Configuration: environment and config objects, validated; all faults are reported at once."""

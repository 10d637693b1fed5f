"""What is asked for: environment and config objects, validated, every fault reported at once."""

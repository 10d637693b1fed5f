"""What is requested: environment and config objects, validated, every fault reported at once."""

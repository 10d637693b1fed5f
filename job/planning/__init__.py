"""Planning: which target gets which cards, and the calls for them. Pure, except for reading the config objects."""

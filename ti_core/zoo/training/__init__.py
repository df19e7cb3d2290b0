"""Training of one network, of a whole zoo, and of many networks in one pass."""

"""Training: one network, a whole zoo, and many networks in one pass."""

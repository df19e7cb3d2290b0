"""Two versions of one model: what changed in the weights."""

"""``changes``: what changed in the weights between two versions of a model."""

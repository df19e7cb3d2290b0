"""Methods that replace the gradient of a network's functions by a rule."""

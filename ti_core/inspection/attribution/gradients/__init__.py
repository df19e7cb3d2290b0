"""Methods that rest on the gradient of a class score."""

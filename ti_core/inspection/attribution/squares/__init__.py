"""Methods that change pixels and watch the class score."""

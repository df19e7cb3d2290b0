"""The pictures of a case: the gallery, the choice of its method, and activation maximisation."""

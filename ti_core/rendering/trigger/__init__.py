"""The recovered trigger of a case, as readers see it on every surface."""

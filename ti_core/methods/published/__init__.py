"""The published methods, one in each file. Each names its publication, and where it differs from it."""

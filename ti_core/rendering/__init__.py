"""A case as pages, figures and files."""

"""Graphs that were exported for a fixed number of images: how any number of them goes through."""

"""Stores models, cases and visitors' own images on the disk."""

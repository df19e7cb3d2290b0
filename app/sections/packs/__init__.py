"""Packs of the user's own."""

"""Searches that several streams share."""

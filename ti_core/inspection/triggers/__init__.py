"""Recovered triggers of every kind: what they share, and how those that are no plain pattern are found."""

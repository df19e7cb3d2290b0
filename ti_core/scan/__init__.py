"""Inspects many models, and writes one line of JSON for each."""

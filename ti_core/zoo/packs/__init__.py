"""Building and extending reference packs."""

"""Reference packs, built and extended."""

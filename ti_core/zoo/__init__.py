"""Reference networks: training recipes, poisoning, and reference packs built from the networks."""

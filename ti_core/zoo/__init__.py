"""Reference networks: poisoning, training recipes, and building a pack from them."""

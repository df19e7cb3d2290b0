"""Poisoned images among those that a network was trained on, found by what its hidden layer makes of them."""

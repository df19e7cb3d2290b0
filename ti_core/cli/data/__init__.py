"""The command ``data``: poisoned images among those that a model was trained on."""

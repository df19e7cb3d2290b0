"""``opinions``: what methods of other publications say of a model, and what they learn on a pack."""

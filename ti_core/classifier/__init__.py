"""How a network is understood: which images it wants, and where its class scores are."""

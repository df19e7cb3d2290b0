"""Training that makes clean networks which detectors find hard, one regime a file."""

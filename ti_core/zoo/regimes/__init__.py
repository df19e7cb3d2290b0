"""Training regimes whose clean networks are hard for detectors. Each regime is one file."""

"""The TrojanInterpret paper's Algorithm 1, piece by piece."""

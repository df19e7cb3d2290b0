"""The layers of a file by the names and shapes of their tensors, and the orders that they may have."""

"""What a whole module says of its network beside the tensors of its layers."""

"""From the outline of a pickle to values: tensors, inert records, and text for what is neither."""

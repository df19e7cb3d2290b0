"""Many models, one line of JSON each."""

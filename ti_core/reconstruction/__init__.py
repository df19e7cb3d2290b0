"""Networks of no registered architecture: the sketch, and the networks that names and shapes allow."""

"""The parts of a result, each a function that shows one of them."""

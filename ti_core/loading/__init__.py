"""Safe opening of model files: nothing in a file is ever run."""

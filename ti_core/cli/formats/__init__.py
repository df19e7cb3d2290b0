"""The options that write verdicts in formats of other programs."""

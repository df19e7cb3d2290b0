"""The verdict of a case: what it says, its reasons, and how it came about."""

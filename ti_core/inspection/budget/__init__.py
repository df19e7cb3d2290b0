"""What an inspection does with the time it has: the verdict so far, and what each effort costs."""

"""What a verdict says beyond its probability: the kind of backdoor that was found, and what was looked for."""

"""Backdoor attacks of the literature, one file each."""

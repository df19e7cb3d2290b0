"""Experiments with one model and one trigger: the effect of the trigger, and STRIP."""

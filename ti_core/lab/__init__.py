"""Experiments with one model and one trigger: the effect of a trigger, and STRIP."""

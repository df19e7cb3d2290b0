"""Copies of a network that are made for speed: folded, rounded where that does no harm, in portions that fit."""

"""Tests of :mod:`ti_core.streams.gates`."""

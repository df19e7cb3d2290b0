"""Finds backdoors in image classifiers by interpretation; see ``ti_core.inspection`` for the whole flow."""

__version__ = "0.1.0"

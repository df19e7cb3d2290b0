"""Methods of attribution: which pixels carry the score of a class. One method is one file.

:mod:`ti_core.inspection.attribution.methods` lists them.
"""

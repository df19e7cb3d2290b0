"""Gates: comparisons of values of the image that replace a network's scores. :mod:`.search` puts the parts together.

:mod:`.trace` runs a graph with some of its values replaced, :mod:`.conditions` finds what a gate could hang on,
:mod:`.violation` says how far a condition is from the other value, and :mod:`.solve` finds the pixels that reverse it.
"""

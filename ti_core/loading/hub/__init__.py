"""Model folders as hubs hand them out: a configuration, the weights, and how images are prepared.

:mod:`files` finds the files in a folder, a zip archive or an upload. :mod:`configuration` and :mod:`preparation` check
what they say. :mod:`network` builds the network with the package ``transformers``. :mod:`opening` puts them together.
"""

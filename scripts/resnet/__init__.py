"""The library behind the programs in ``scripts/``: networks, data, training, evaluation, rendering.

It knows nothing of Snakemake. Modules that only render (``tables``, ``plotting``, ``claims``) and the
settings they share import no torch, so that drawing a figure costs a second.
"""

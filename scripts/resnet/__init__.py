"""The library behind the programs in ``scripts/``: networks, data, training, evaluation, rendering.

It knows nothing of Snakemake. ``rendering`` and what it shares with the others import no torch, so that drawing a
figure costs a second. Imports point one way: classification and detection use training, which uses data; all use the
modules beside this file.
"""

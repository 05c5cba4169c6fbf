"""The library behind the programs in ``scripts/``: networks, data, training, evaluation, rendering.

It knows nothing of Snakemake. ``rendering`` and what it shares with the others import no torch, so that drawing a
figure costs a second. Imports point one way: classification and detection use training, which uses data; all use the
modules beside this file.
"""

# Results say with which version they were made. pyproject.toml reads it here.
__version__ = "1.0.0"

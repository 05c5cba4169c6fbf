"""Datasets in their official formats, and the batches a network is trained on."""

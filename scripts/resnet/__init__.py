"""The library behind the programs in ``scripts/``: networks, data, training, evaluation, rendering.

It knows nothing of Snakemake. ``rendering`` and what it shares with the others import no torch, so that drawing a
figure costs a second. Imports point one way: classification and detection use training, which uses data; all use the
modules beside this file.

Numbers in brackets are the paper's bibliography: [7] Girshick, Fast R-CNN, 2015; [13] He et al., Delving deep into
rectifiers, 2015; [21] Krizhevsky et al., ImageNet classification with deep convolutional neural networks (AlexNet),
2012; [32] Ren et al., Faster R-CNN, 2015; [41] Simonyan and Zisserman, Very deep convolutional networks (VGG), 2015.
"""

# Results say with which version they were made. pyproject.toml reads it here.
__version__ = "1.0.0"

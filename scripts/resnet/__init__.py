"""The library behind the programs in ``scripts/``: networks, data, training, evaluation, rendering.

It knows nothing of Snakemake. ``rendering`` and what it shares with the others import no torch, so that drawing a
figure costs a second. Imports point one way: localisation uses detection and classification, these use training, which
uses data; all use the modules beside this file.

Numbers in brackets are the paper's bibliography: [6] Gidaris and Komodakis, Object detection via a multi-region and
semantic segmentation-aware CNN model, 2015; [7] Girshick, Fast R-CNN, 2015; [8] Girshick et al., Rich feature
hierarchies (R-CNN), 2014; [12] He et al., Spatial pyramid pooling, 2014; [13] He et al., Delving deep into rectifiers,
2015; [21] Krizhevsky et al., ImageNet classification with deep convolutional neural networks (AlexNet), 2012;
[32] Ren et al., Faster R-CNN, 2015; [33] Ren et al., Object detection networks on convolutional feature maps, 2015;
[41] Simonyan and Zisserman, Very deep convolutional networks (VGG), 2015.
"""

# Results say with which version they were made. pyproject.toml reads it here.
__version__ = "1.0.0"

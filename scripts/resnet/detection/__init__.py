"""Faster R-CNN on PASCAL VOC and MS COCO (section 4.3 and appendix A): detectors, their training, metrics."""

"""Training and testing of classifiers: CIFAR-10 and ImageNet (sections 4.1 and 4.2)."""

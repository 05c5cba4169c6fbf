"""Localisation (appendix C): where the object of a class is, by a network with a box regressor for each class."""

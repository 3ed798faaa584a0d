"""The rooms of the feature house: one module per kind of measurement, kernels below them."""

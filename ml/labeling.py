"""Labels of the signal model: the public face of `ml.labels.barrier`."""

from ml.labels.barrier import *  # noqa: F403

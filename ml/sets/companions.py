"""Files beside the artifacts of a model set that describe it, and come and go with it."""

from __future__ import annotations

from typing import Final

MANIFEST_NAME: Final = "model_compat.json"
"""What the set was made for, and the hash of every file in it; see `ml.sets.compat`."""
REVISION_NAME: Final = "hub_revision.json"
"""The signed manifest of the revision a set was pulled as."""
SUMMARY_NAME: Final = "shap_summary.json"
"""Which features the signal models lean on; see `ml.sets.shap_summary`."""
EXPECTATION_NAME: Final = "expectation.json"
"""What the set earned out of sample when it was approved; see `ml.sets.expectation`."""
DESCRIPTIONS: Final = (SUMMARY_NAME, EXPECTATION_NAME)
"""What is said about the models and shipped with them, and no part of them."""
COMPANIONS: Final = (MANIFEST_NAME, REVISION_NAME, *DESCRIPTIONS)

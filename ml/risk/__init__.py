"""The risk model: how much of the size a trade gets."""

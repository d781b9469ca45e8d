"""A separate folder, so that an engine's Python cannot import any of our other modules."""

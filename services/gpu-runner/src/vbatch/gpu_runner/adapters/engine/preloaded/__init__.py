"""A folder of its own, so that none of our other modules can be imported by an engine's Python."""

"""A folder of its own, so that nothing else of ours is importable in an engine's Python."""

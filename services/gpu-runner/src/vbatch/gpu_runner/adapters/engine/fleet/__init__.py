"""A fleet: several servers elsewhere that answer for one model."""

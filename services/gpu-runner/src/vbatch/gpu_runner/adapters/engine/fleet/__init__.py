"""A model that several servers elsewhere answer for."""

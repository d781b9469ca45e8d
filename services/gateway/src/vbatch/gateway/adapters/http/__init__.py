"""The HTTP routes, and what all answers have in common."""

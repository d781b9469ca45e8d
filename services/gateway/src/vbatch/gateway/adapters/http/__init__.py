"""The HTTP routes and what every answer has in common."""

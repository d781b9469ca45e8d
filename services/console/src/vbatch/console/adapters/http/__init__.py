"""The pages, their security, and their live streams."""

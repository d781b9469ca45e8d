"""Tells webhook endpoints what happened: signed, with retries, and each event under one permanent id."""

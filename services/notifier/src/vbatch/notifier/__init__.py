"""Tells webhook endpoints what happened: signed, with retries, each event under one id for ever."""

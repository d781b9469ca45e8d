"""The flows of the gateway: load, decide, append, wait until the result can be read."""

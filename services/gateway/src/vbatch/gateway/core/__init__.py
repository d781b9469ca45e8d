"""The rules of the gateway: pure, no I/O, no clock."""

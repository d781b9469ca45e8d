"""The vbatch command."""

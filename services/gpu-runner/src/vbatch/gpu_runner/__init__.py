"""Runs one device: loads a model, keeps the engine full and records the outcomes."""

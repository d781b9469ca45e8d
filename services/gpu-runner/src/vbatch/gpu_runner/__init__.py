"""One device: loads a model, keeps the engine full, records outcomes."""

"""The runner's adapters: devices, engines, blobs and metrics."""

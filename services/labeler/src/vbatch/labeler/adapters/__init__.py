"""Label Studio over HTTP, health and metrics."""

"""The one place that knows NATS: append, lease, tail, work queue."""

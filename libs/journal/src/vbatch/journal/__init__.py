"""The only package that knows NATS: append, lease, tail, work queue."""

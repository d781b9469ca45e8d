"""The adapters of the notifier: HTTP to the endpoints, the page of deliveries, metrics."""

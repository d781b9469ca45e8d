"""HTTP to the endpoints, the page of deliveries, figures."""

"""The dashboards of Grafana as code: what is on each, and how it becomes JSON."""

"""The dashboards of Grafana as code: what stands on each, and how it becomes JSON."""

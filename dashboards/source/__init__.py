"""The dashboards as Python: `python -m dashboards.source` writes the JSON that Grafana loads."""

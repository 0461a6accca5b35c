"""The HTTP server of a gateway."""

"""What the pool costs: a turn through the gateway against the same engine asked directly."""

"""What each engine does through the pool, against the same engine asked directly in the same run."""

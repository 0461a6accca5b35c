"""Models that come along."""

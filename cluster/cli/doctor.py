def doctor() -> None:
    """Check this machine."""

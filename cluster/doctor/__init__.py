"""What is well with this machine and its pool, what is not, and what to do about it."""

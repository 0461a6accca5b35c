"""How near the speed model comes to published speeds of machines that it was not fitted to."""

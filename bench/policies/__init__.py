"""The policies of others in the simulator, against a reference table of an independent simulation."""

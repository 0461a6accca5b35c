"""What a decision of the router's machine costs, at a home's size and far beyond it."""

"""What this node has: memory, accelerators, engines that run already, weights that lie on its disk."""

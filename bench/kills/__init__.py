"""What becomes of turns, and of a gang, when any one of its processes is killed."""

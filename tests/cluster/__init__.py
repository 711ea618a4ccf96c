"""A Ray cluster of two nodes on this machine."""

"""Plans, addressing, and the building of a network from them."""

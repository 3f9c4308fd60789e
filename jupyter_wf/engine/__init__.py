"""Execute plans: the live graph, the machines, the store."""

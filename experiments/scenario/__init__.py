"""A scenario: its keys, what must hold between them, its network, sessions and timeline."""

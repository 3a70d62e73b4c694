"""The run directory: its files, what they hold, and reading them."""

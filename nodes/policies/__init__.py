"""Which of several addresses a correspondent opens a session on: the node's side of each selection policy."""

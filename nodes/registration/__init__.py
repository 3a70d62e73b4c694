"""Solution 2 of the draft (4.2): nodes register with a server and ask it for one another."""

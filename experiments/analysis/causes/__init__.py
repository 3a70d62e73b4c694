"""What a message was said for: a rule for each protocol (stated in `signalling`), and what the rules share."""

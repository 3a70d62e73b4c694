"""Message ladders of the draft's Figures 2 to 5, from captures."""

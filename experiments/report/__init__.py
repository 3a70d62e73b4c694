"""One self-contained page of a run or of many."""

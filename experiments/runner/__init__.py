"""Carrying a scenario out: what is told to whom, processes, the timeline, the run from outside."""

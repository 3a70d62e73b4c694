"""Programs that are not dmmlab's own: what a scenario wants run at both ends of a session."""

"""`dmmlab shell`: a scenario that goes on while its user moves nodes, opens sessions, and looks at who knows what."""

"""Itineraries from models and from traces: what ``mobility`` in a scenario says, and the movement that it comes to."""

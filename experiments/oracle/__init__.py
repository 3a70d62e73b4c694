"""The closed forms: what a set-up and a round trip must take, from the scenario alone; they know no measurement."""

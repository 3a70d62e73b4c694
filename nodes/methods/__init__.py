"""How a correspondent finds a mobile node: the node's side of each method, a class a way of asking."""

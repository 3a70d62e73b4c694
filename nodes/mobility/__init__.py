"""The mobile node: addresses from the routers that it attaches to, and whom it tells of them."""

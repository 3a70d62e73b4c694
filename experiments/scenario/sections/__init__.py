"""The sections of a scenario's file, each typed and frozen; those that do something of their own are beside them."""

"""Everything that runs on an emulated host: agents, servers, daemons and their configuration."""

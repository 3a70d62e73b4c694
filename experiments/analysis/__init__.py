"""From a run's raw records to tables and numbers: captures and events in, rows out, all of it from files."""

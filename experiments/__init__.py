"""Scenarios, runs, records, oracle, analysis, figures, report, command line."""

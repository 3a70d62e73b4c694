"""The command line: commands, what a person sees of them, progress."""

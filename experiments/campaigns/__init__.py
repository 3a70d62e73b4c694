"""Many runs: what the figures need, whether they still come out as the reference says, what differs."""

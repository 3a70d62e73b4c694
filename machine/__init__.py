"""What this machine has and gives: checks, processes and isolation of our own, its description, its provisioning."""

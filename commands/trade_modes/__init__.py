"""What the command `trade` runs: live, paper, health."""

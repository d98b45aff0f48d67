"""What a person runs: the commands of the console script."""

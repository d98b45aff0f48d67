"""The commands of the console script, and what they are made of."""

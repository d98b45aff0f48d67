"""Play a checkpoint by the papers' protocols."""

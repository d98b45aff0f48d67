"""What the meta-gradient of a checkpoint is worth."""

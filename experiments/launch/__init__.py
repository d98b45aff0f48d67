"""Start processes and keep them alive, here or on Ray."""

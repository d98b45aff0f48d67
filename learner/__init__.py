"""The learner: serves actions, collects unrolls, updates."""

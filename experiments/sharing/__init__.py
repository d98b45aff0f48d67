"""Gives a trained agent to others: files, model card, model hub."""

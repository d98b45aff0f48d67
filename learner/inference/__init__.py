"""Requests to actions to unrolls, on one thread."""

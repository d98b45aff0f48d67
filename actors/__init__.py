"""Processes that step environments and ask a learner for actions."""

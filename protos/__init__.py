"""The wire between actors and learner."""

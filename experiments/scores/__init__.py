"""Published scores and statistics of scores."""

"""What is learned, how, and by which objective."""

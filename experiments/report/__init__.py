"""A study to one page, its tables and figures."""

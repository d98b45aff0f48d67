"""A search for the settings that score best."""

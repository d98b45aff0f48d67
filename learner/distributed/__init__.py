"""One update over several devices and hosts."""

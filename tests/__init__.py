"""The tests, in folders that mirror the sources."""

import protos  # noqa: F401 -- Before gRPC is imported.

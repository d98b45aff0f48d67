"""Processes that step environments and ask a learner for actions."""

import protos  # noqa: F401 -- Before gRPC is imported.

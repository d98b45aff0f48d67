"""Processes that step environments and ask a learner for actions."""

import os

# Before gRPC is imported: an environment may start processes, none of which
# uses gRPC, and its handlers of a fork can hang in them.
os.environ.setdefault('GRPC_ENABLE_FORK_SUPPORT', '0')

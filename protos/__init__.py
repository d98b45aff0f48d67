"""The wire between actors and learner.

To be imported before gRPC, which reads its settings then; what a user has set
counts.
"""

import os

# gRPC's older way of polling. With its event engine, since 1.80 the way of
# Python as well, each message is handed from thread to thread once more.
os.environ.setdefault(
  'GRPC_EXPERIMENTS', '-event_engine_client,-event_engine_listener'
)
# An environment may start processes, and so may we; none of them uses gRPC, and
# its handlers of a fork can hang in them.
os.environ.setdefault('GRPC_ENABLE_FORK_SUPPORT', '0')

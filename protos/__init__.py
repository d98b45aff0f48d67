"""The wire between actors and learner."""

import os

# gRPC's older way of polling. With its event engine, since 1.80 the way of
# Python as well, each message is handed from thread to thread once more.
os.environ.setdefault(
  'GRPC_EXPERIMENTS', '-event_engine_client,-event_engine_listener'
)

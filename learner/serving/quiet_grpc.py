"""Keeps gRPC's C++ side out of logs and of the processes that we start.

To be imported before any module that imports grpc; what a user has set counts.
"""

import os

# Without a line for each handshake that a stranger fails; errors are printed.
os.environ.setdefault('GRPC_VERBOSITY', 'ERROR')
# Its handlers of a fork can hang in a process that is about to become another.
os.environ.setdefault('GRPC_ENABLE_FORK_SUPPORT', '0')

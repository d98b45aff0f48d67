"""Sets gRPC up, and keeps its C++ side out of logs.

To be imported before any module that imports grpc; what a user has set counts.
"""

import os

import protos  # noqa: F401 -- Has the settings of both sides.

# Without a line for each handshake that a stranger fails; errors are printed.
os.environ.setdefault('GRPC_VERBOSITY', 'ERROR')

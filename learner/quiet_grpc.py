"""Keeps gRPC's C++ side from a line for each handshake that a stranger fails.

Its errors are still printed. To be imported before any module that imports
grpc; a GRPC_VERBOSITY of the user's own counts.
"""

import os

os.environ.setdefault('GRPC_VERBOSITY', 'ERROR')

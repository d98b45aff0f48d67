"""The tests, in folders that mirror the sources."""

import os

# As in the processes that are tested: see actors/__init__.py.
os.environ.setdefault('GRPC_ENABLE_FORK_SUPPORT', '0')

"""Runs a module, as `python -m` does, that ends when its parent is gone.

The parent process holds the other end of standard input open; the system
closes it however the parent ends.
"""

import os
import runpy
import signal
import sys
import threading
import time

_GRACE_SECS = 60.0  # For a learner to save.


def _end_with_parent() -> None:
  while os.read(0, 1):
    pass
  os.kill(os.getpid(), signal.SIGTERM)
  time.sleep(_GRACE_SECS)
  os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
  """Runs the module that the first argument names with the other arguments."""
  threading.Thread(target=_end_with_parent, daemon=True).start()
  sys.argv = sys.argv[1:]
  runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)


if __name__ == '__main__':
  main()

"""Imports TensorFlow without the lines that its C++ side prints meanwhile.

They come before its logging starts, so that no setting reaches them: standard
error is kept back during the import, and shown where the import fails. To be
imported before any module that imports TensorFlow.
"""

import faulthandler
import importlib
import os
import sys
import tempfile


def _import_quietly(name: str):
  sys.stderr.flush()
  stderr = os.dup(2)
  faulthandler.enable(stderr)  # An abort, say without AVX, must not be mute.
  with tempfile.TemporaryFile() as kept_back:
    os.dup2(kept_back.fileno(), 2)
    try:
      importlib.import_module(name)
    except ImportError:
      kept_back.seek(0)
      os.write(stderr, kept_back.read())
      raise
    finally:
      os.dup2(stderr, 2)
      faulthandler.disable()
      os.close(stderr)


os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
_import_quietly('tensorflow')

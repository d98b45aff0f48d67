"""Imports TensorFlow: quiet, with oneDNN, and a GPU's memory taken as needed.

Its C++ side prints messages before its logging starts, where no setting reaches
them: standard error is held back during the import, and printed where that
fails. To be imported before any module that imports TensorFlow.
"""

import faulthandler
import importlib
import os
import sys
import tempfile


def _import_quietly(name: str) -> None:
  sys.stderr.flush()
  stderr = os.dup(2)
  faulthandler.enable(stderr)  # For an abort, say without AVX.
  with tempfile.TemporaryFile() as held_back:
    os.dup2(held_back.fileno(), 2)
    try:
      importlib.import_module(name)
    except ImportError:
      held_back.seek(0)
      os.write(stderr, held_back.read())
      raise
    finally:
      os.dup2(stderr, 2)
      faulthandler.disable()
      os.close(stderr)


os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
# Else the first process takes all of a GPU, and no evaluation fits beside it.
os.environ.setdefault('TF_FORCE_GPU_ALLOW_GROWTH', 'true')
# TensorFlow's own choice where a CPU has AVX512_VNNI, AVX_VNNI or AMX. Without
# them Eigen's gradient of the first convolution's filters takes half of an
# update.
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')
_import_quietly('tensorflow')

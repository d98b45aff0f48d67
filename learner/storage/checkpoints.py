"""Checkpoints: one .npz a checkpoint, written atomically, with history.

A file holds every array of a nest under its path ('state/params/w'), a JSON
object ('extra', see run_state.py) with the arrays in it, and as its last 64
bytes (the zip's comment) the SHA-256 of all bytes before. No pickle: a file of
unknown origin cannot run code.
"""

import errno
import hashlib
import io
import json
import os
import pathlib
import re
from typing import Any
import zipfile

from absl import logging
import numpy as np

from learner.storage import files
from seed_metagrad import types

_DIGEST_BYTES = 64
_ARRAY = 'array'  # The key by which the JSON object refers to an array.
# What the parts of a file that is no checkpoint make Python and NumPy raise.
_NO_CHECKPOINT = (
  zipfile.BadZipFile,
  EOFError,
  KeyError,
  MemoryError,
  RecursionError,
  TypeError,
  ValueError,
)


class DamagedError(Exception):
  """A checkpoint's bytes are not those that were written."""


def save(
  directory: str | os.PathLike[str],
  state: types.Nest,
  *,
  extra: dict[str, Any],
  keep: int,
) -> pathlib.Path:
  """Writes `checkpoint_<num_updates>.npz` and drops all but the newest `keep`.

  Args:
    directory: made if it is not there.
    state: NamedTuples, dicts, lists and tuples of arrays or tensors; exactly
      one array is called `num_updates`.
    extra: what JSON can hold, and arrays of any shape as its values.
    keep: how many checkpoints stay, at least 1.

  Raises:
    OSError: the file could not be written; the earlier checkpoints stay.
  """
  directory = pathlib.Path(directory)
  arrays = flatten(state, 'state')
  path = directory / f'checkpoint_{_num_updates(arrays)}.npz'
  contents = _encode(arrays, extra)
  directory.mkdir(parents=True, exist_ok=True)
  for unfinished in directory.glob('*.tmp'):  # A save that was killed.
    unfinished.unlink()
  try:
    files.write_atomic(path, contents)
  except OSError as error:
    raise OSError(
      error.errno,
      f'checkpoint {path} was not written, the earlier ones'
      f' stay: {os.strerror(error.errno or errno.EIO)}.',
    ) from error
  for old in paths(directory)[keep:]:
    old.unlink()
  return path


def restore(
  directory: str | os.PathLike[str], template: types.Nest
) -> tuple[types.Nest, dict[str, Any]] | None:
  """Reads the newest checkpoint that is not damaged; None without any.

  Damaged ones are named in a warning and set aside as `<name>.damaged`.

  Raises:
    ValueError: the checkpoint is of another structure than `template`, or
      all checkpoints are damaged.
  """
  damaged = []
  for path in paths(directory):
    try:
      restored = load(path, template)
    except DamagedError as error:
      damaged.append(path)
      logging.warning('%s', error)
      continue
    for other in damaged:
      logging.warning(
        'Checkpoint %s is damaged: restored %s instead.', other, path
      )
      os.replace(other, f'{other}.damaged')
    return restored
  if damaged:
    raise ValueError(
      f'every checkpoint is damaged: {", ".join(map(str, damaged))}.'
    )
  return None


def load(
  path: str | os.PathLike[str], template: types.Nest
) -> tuple[types.Nest, dict[str, Any]]:
  """Reads one checkpoint as a nest like `template` of NumPy arrays, and extra.

  Raises:
    DamagedError: the file is truncated or corrupted.
    ValueError: it is no checkpoint, or paths, shapes or dtypes differ from
      those of `template`.
  """
  contents = pathlib.Path(path).read_bytes()
  digest = contents[-_DIGEST_BYTES:]
  if _digest(contents[:-_DIGEST_BYTES]) != digest:
    raise DamagedError(
      f'{path} is damaged: its checksum differs from its {len(contents)} bytes.'
    )
  try:
    arrays, extra = _decode(contents)
  except _NO_CHECKPOINT as error:  # Somebody else's, with a checksum.
    raise ValueError(
      f'{path} is no checkpoint: {type(error).__name__}: {error}.'
    ) from None
  check(path, arrays, flatten(template, 'state'))
  return unflatten(template, 'state', arrays), extra


def paths(directory: str | os.PathLike[str]) -> list[pathlib.Path]:
  """Lists the checkpoints of a folder, the newest first."""
  found = {}
  for path in pathlib.Path(directory).glob('checkpoint_*.npz'):
    match = re.fullmatch(r'checkpoint_(\d+)\.npz', path.name)
    if match:
      found[int(match[1])] = path
  return [found[num_updates] for num_updates in sorted(found, reverse=True)]


def _digest(contents: bytes) -> bytes:
  return hashlib.sha256(contents).hexdigest().encode()


def _children(nest: types.Nest) -> dict[str, types.Nest] | None:
  """The named parts of a nest; None for a leaf."""
  if isinstance(nest, dict):
    return {str(key): nest[key] for key in sorted(nest)}
  if hasattr(nest, '_fields'):
    return dict(zip(nest._fields, nest))
  if isinstance(nest, (list, tuple)):
    return {str(index): part for index, part in enumerate(nest)}
  return None


def flatten(nest: types.Nest, path: str) -> dict[str, np.ndarray]:
  """The arrays of a nest by their path: 'state/params/0'."""
  children = _children(nest)
  if children is None:
    return {path: np.asarray(nest)}
  arrays: dict[str, np.ndarray] = {}
  for name, child in children.items():
    part = flatten(child, f'{path}/{name}')
    assert not arrays.keys() & part.keys(), f'two arrays at {path}/{name}'
    arrays.update(part)
  return arrays


def unflatten(
  template: types.Nest, path: str, arrays: dict[str, np.ndarray]
) -> types.Nest:
  """Undoes `flatten`, into a nest like `template`."""
  children = _children(template)
  if children is None:
    return arrays[path]
  parts = [
    unflatten(child, f'{path}/{name}', arrays)
    for name, child in children.items()
  ]
  if isinstance(template, dict):
    return dict(zip(sorted(template), parts))
  if hasattr(template, '_fields'):
    return type(template)(*parts)
  return type(template)(parts)


def _num_updates(arrays: dict[str, np.ndarray]) -> int:
  found = [
    array for path, array in arrays.items() if path.endswith('/num_updates')
  ]
  assert len(found) == 1, f'{len(found)} arrays are called num_updates'
  return int(found[0])


def _encode(arrays: dict[str, np.ndarray], extra: dict[str, Any]) -> bytes:
  """An .npz whose zip comment is the digest of the bytes before it."""
  arrays = dict(arrays)

  def refer(array: np.ndarray) -> dict[str, str]:
    name = f'extra/{len(arrays)}'
    arrays[name] = np.asarray(array)
    assert arrays[name].dtype.kind in 'biuf', f'{array!r} cannot be saved'
    return {_ARRAY: name}

  arrays['extra'] = np.frombuffer(
    json.dumps(extra, default=refer).encode(), np.uint8
  )
  buffer = io.BytesIO()
  np.savez(buffer, allow_pickle=False, **arrays)
  with zipfile.ZipFile(buffer, 'a') as archive:
    archive.comment = bytes(_DIGEST_BYTES)
  contents = buffer.getvalue()[:-_DIGEST_BYTES]
  return contents + _digest(contents)


def _decode(contents: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
  """What `_encode` was given; parts that unpack to more are not read."""
  with zipfile.ZipFile(io.BytesIO(contents)) as archive:
    parts = archive.infolist()
  if {part.compress_type for part in parts} - {zipfile.ZIP_STORED} or sum(
    part.file_size for part in parts
  ) > len(contents):
    raise ValueError('its arrays are compressed')
  with np.load(io.BytesIO(contents), allow_pickle=False) as npz:
    arrays = {key: npz[key] for key in npz.files}
  extra = json.loads(
    arrays.pop('extra').tobytes(),
    object_hook=lambda item: (
      arrays.pop(item[_ARRAY]) if _ARRAY in item else item
    ),
  )
  return arrays, extra


def check(
  path: str | os.PathLike[str],
  arrays: dict[str, np.ndarray],
  expected: dict[str, np.ndarray],
) -> None:
  """Raises ValueError where names, shapes or dtypes are not the expected."""
  if arrays.keys() != expected.keys():
    raise ValueError(
      f'{path} does not fit: it lacks'
      f' {sorted(expected.keys() - arrays.keys())} and has'
      f' {sorted(arrays.keys() - expected.keys())} besides.'
    )
  for name, array in arrays.items():
    want = expected[name]
    if (array.shape, array.dtype) != (want.shape, want.dtype):
      raise ValueError(
        f'{path} does not fit: {name} is {array.dtype} {array.shape},'
        f' expected {want.dtype} {want.shape}.'
      )

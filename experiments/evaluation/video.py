"""Draws an episode as a GIF or MP4, with score, value and what is learned."""

from collections.abc import Iterator, Mapping
import itertools
import os
import pathlib

import numpy as np
from PIL import Image
from PIL import ImageDraw

from experiments.evaluation import atari_game
from experiments.evaluation import episodes as episodes_lib
from learner import extras
from seed_metagrad import environments

_SCALE = 2
_LINE_HEIGHT = 16  # Pixels of a line of text under the screen.
_PER_LINE = 2  # Hyperparameters.
_IMAGES_PER_SEC = 15
_MILLISECONDS = (70, 70, 60)  # The same: a GIF counts in hundredths.
_MAX_IMAGES = 4500  # Five minutes; a longer episode is shown faster.


def check(env: str, path: str | os.PathLike[str] = 'video.gif') -> None:
  """Raises ValueError unless `write` can write a video of an environment."""
  if not atari_game.exists(env):
    raise ValueError(f'videos are of Atari games only, not of {env}.')
  suffix = pathlib.Path(path).suffix
  if suffix not in _FORMATS:
    raise ValueError(
      f'a video is a .gif or .mp4 file, got {os.fspath(path)!r}.'
    )
  if suffix == '.mp4':
    extras.find('imageio_ffmpeg', 'mp4')


def write(
  path: str | os.PathLike[str],
  game: str,
  episode: episodes_lib.Episode,
  hyperparameters: Mapping[str, float],
) -> None:
  """Plays an episode of a game again and writes what was seen.

  path: its ending says the format. hyperparameters: by name, to be drawn under
  each image.
  """
  images = _images(game, episode, hyperparameters)
  _FORMATS[pathlib.Path(path).suffix](path, images, _num_images(episode))


def _write_mp4(
  path: str | os.PathLike[str], images: Iterator[Image.Image], num_images: int
) -> None:
  """H.264, which browsers play."""
  import imageio_ffmpeg

  del num_images
  first = next(images)
  writer = imageio_ffmpeg.write_frames(
    os.fspath(path), first.size, fps=_IMAGES_PER_SEC, macro_block_size=2
  )
  writer.send(None)  # Starts it.
  for image in itertools.chain([first], images):
    writer.send(image.convert('RGB').tobytes())
  writer.close()


def _write_gif(
  path: str | os.PathLike[str], images: Iterator[Image.Image], num_images: int
) -> None:
  durations = np.resize(_MILLISECONDS, num_images).tolist()
  next(images).save(
    path,
    format='GIF',
    save_all=True,
    append_images=images,
    duration=durations,
    loop=0,
  )


_FORMATS = {'.gif': _write_gif, '.mp4': _write_mp4}


def _speed(episode: episodes_lib.Episode) -> int:
  """How many steps an image stands for."""
  return -(-len(episode.values) // _MAX_IMAGES)


def _num_images(episode: episodes_lib.Episode) -> int:
  return -(-len(episode.values) // _speed(episode))


def _images(
  game: str, episode: episodes_lib.Episode, hyperparameters: Mapping[str, float]
) -> Iterator[Image.Image]:
  """The last frame of every step, or of every few."""
  repeat, speed = environments.spec(game).action_repeat, _speed(episode)
  captions = [
    f'{name.rstrip("_").replace("_", " ")} {value:.4f}'
    for name, value in hyperparameters.items()
  ]
  lines = [
    '   '.join(captions[n : n + _PER_LINE])
    for n in range(0, len(captions), _PER_LINE)
  ]
  score, last = 0.0, episode.start_frames + episode.frames - 1
  replay = atari_game.Game(game).replay(episode.played)
  for frame, (reward, screen) in enumerate(replay):
    since_start = frame - episode.start_frames
    if since_start < 0:
      continue
    score += reward
    if (since_start + 1) % (repeat * speed) == 0 or frame == last:
      value = episode.values[since_start // repeat]
      faster = f'   {speed} times as fast' if speed > 1 else ''
      yield _image(
        screen, [f'score {score:g}   value {value:.2f}{faster}', *lines]
      )


def _image(screen: np.ndarray, lines: list[str]) -> Image.Image:
  height, width, _ = screen.shape
  height, width = height * _SCALE, width * _SCALE
  image = Image.new('RGB', (width, height + _LINE_HEIGHT * len(lines) + 4))
  image.paste(
    Image.fromarray(screen).resize((width, height), Image.Resampling.NEAREST)
  )
  draw = ImageDraw.Draw(image)
  for top, line in zip(itertools.count(height + 3, _LINE_HEIGHT), lines):
    draw.text((6, top), line, fill='white', font_size=13)
  return image.quantize(256, dither=Image.Dither.NONE)

"""Draws an episode as a GIF, with score, value and learned hypers."""

from collections.abc import Iterator
import os

import numpy as np
from PIL import Image
from PIL import ImageDraw

from experiments.evaluation import atari_game
from experiments.evaluation import episodes as episodes_lib
from seed_metagrad.environments import atari

_SCALE = 2
_STRIP = 36  # Pixels under the screen, for two lines of text.
_MILLISECONDS = (70, 70, 60)  # A GIF counts in hundredths: 15 steps a second.
_MAX_PICTURES = 4500  # Five minutes; a longer episode is shown faster.


def check(env: str):
  """Raises ValueError unless the environment is an Atari game."""
  if not atari_game.exists(env):
    raise ValueError(f'videos are of Atari games only, not of {env}.')


def write(
  path: str | os.PathLike,
  game: str,
  episode: episodes_lib.Episode,
  hypers: dict[str, float],
):
  """Plays an episode of a game again and writes what was seen."""
  pictures = _pictures(game, episode, hypers)
  durations = np.resize(_MILLISECONDS, _num_pictures(episode)).tolist()
  next(pictures).save(
    path,
    format='GIF',
    save_all=True,
    append_images=pictures,
    duration=durations,
    loop=0,
  )


def _speed(episode: episodes_lib.Episode) -> int:
  """How many steps a picture stands for."""
  return -(-len(episode.values) // _MAX_PICTURES)


def _num_pictures(episode: episodes_lib.Episode) -> int:
  return -(-len(episode.values) // _speed(episode))


def _pictures(
  game: str, episode: episodes_lib.Episode, hypers: dict[str, float]
) -> Iterator[Image.Image]:
  """The last frame of every step, or of every few."""
  repeat, speed = atari.spec(game).action_repeat, _speed(episode)
  score, last = 0.0, episode.start_frames + episode.frames - 1
  replay = atari_game.Game(game).replay(episode.played)
  for frame, (reward, screen) in enumerate(replay):
    since_start = frame - episode.start_frames
    if since_start < 0:
      continue
    score += reward
    if (since_start + 1) % (repeat * speed) == 0 or frame == last:
      value = episode.values[since_start // repeat]
      yield _picture(
        screen,
        [
          f'score {score:g}   value {value:.2f}'
          + (f'   {speed} times as fast' if speed > 1 else ''),
          f'discount {hypers["discount"]:.4f}   lambda {hypers["lambda_"]:.3f}',
        ],
      )


def _picture(screen: np.ndarray, lines: list[str]) -> Image.Image:
  height, width, _ = screen.shape
  picture = Image.new('RGB', (width * _SCALE, height * _SCALE + _STRIP))
  picture.paste(
    Image.fromarray(screen).resize(
      (width * _SCALE, height * _SCALE), Image.Resampling.NEAREST
    )
  )
  draw = ImageDraw.Draw(picture)
  for number, line in enumerate(lines):
    draw.text(
      (6, height * _SCALE + 4 + 15 * number), line, fill='white', font_size=13
    )
  return picture.quantize(256, dither=Image.Dither.NONE)

"""The repository's pages in Markdown, taken apart."""

from collections.abc import Iterator
import pathlib
import re

from tests.repository import sources

_PLACES = ('*', 'docs/**/*', 'results/**/*', 'benchmarks/*', 'experiments/**/*')
_FENCE = re.compile(r'^ *```.*?^ *```', re.MULTILINE | re.DOTALL)
_LINK = re.compile(r'\]\(\s*([^)\s]+)\s*\)')
_HEADING = re.compile(r'^#+ +(.+?) *$', re.MULTILINE)
_SPAN = re.compile(r'`([^`]+)`')


def paths() -> list[pathlib.Path]:
  """Every page, sorted."""
  found = (sources.ROOT.glob(f'{place}.md') for place in _PLACES)
  return sorted({path for pages in found for path in pages})


def name(path: pathlib.Path) -> str:
  """A page's path from the root."""
  return path.relative_to(sources.ROOT).as_posix()


def links(text: str) -> list[str]:
  """The targets of links and images."""
  return _LINK.findall(_without_code(text))


def anchors(text: str) -> set[str]:
  """What a link may name behind a #: the headings, as GitHub makes them ids."""
  return {
    re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')
    for heading in _HEADING.findall(_FENCE.sub('', text))
  }


def code(text: str) -> Iterator[str]:
  """The fenced blocks and the spans of code; a command is on one line."""
  for block in _FENCE.findall(text):
    yield block.partition('\n')[2].rpartition('\n')[0].replace('\\\n', ' ')
  for span in _SPAN.findall(_FENCE.sub('', text)):
    yield ' '.join(span.split())


def blocks(text: str, language: str) -> list[str]:
  """The fenced blocks of a language."""
  return [
    block.partition('\n')[2].rpartition('\n')[0]
    for block in _FENCE.findall(text)
    if block.partition('\n')[0].strip() == f'```{language}'
  ]


def table(text: str, heading: str) -> list[list[str]]:
  """The cells of the first table's rows below a heading."""
  section = re.split(rf'^#+ {re.escape(heading)}$', text, flags=re.MULTILINE)[1]
  lines = re.search(r'^\|.*\n\|[-| ]+\n((?:\|.*\n)+)', section, re.MULTILINE)
  assert lines, f'no table below {heading}'
  return [
    [cell.strip() for cell in re.split(r'(?<!\\)\|', line.strip('|'))]
    for line in lines[1].splitlines()
  ]


def _without_code(text: str) -> str:
  return _SPAN.sub('', _FENCE.sub('', text))

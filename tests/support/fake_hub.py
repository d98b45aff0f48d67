"""A model hub on this machine, as far as huggingface_hub's uploads need one."""

import base64
from collections.abc import Iterator
import contextlib
from http import server
import json
import threading


class Hub:
  """What was uploaded, and by whom."""

  def __init__(self):
    self.address = ''
    self.files: dict[str, bytes] = {}  # <owner>/<name>/<path>.
    self.private: dict[str, bool] = {}  # By repository.
    self.tokens: set[str] = set()

  def answer(self, path: str, body: bytes) -> dict:
    """The reply to a POST."""
    if path == '/api/repos/create':
      asked = json.loads(body)
      name = f'{asked["organization"]}/{asked["name"]}'
      self.private[name] = asked['visibility'] == 'private'
      return {'url': f'{self.address}/{name}'}
    if path.endswith('/preupload/main'):
      return {
        'files': [
          {'path': file['path'], 'uploadMode': 'regular', 'shouldIgnore': False}
          for file in json.loads(body)['files']
        ]
      }
    if path.endswith('/commit/main'):
      name = path.removeprefix('/api/models/').removesuffix('/commit/main')
      for line in map(json.loads, body.splitlines()):
        if line['key'] == 'file':
          contents = base64.b64decode(line['value']['content'])
          self.files[f'{name}/{line["value"]["path"]}'] = contents
      url = f'{self.address}/{name}/commit/abc'
      return {'commitUrl': url, 'commitOid': 'abc', 'success': True}
    return {}  # /api/validate-yaml: no warnings, no errors.


@contextlib.contextmanager
def serve() -> Iterator[Hub]:
  """A hub at `address` until the end of the block."""
  hub = Hub()

  class Handler(server.BaseHTTPRequestHandler):
    def do_POST(self):
      body = self.rfile.read(int(self.headers.get('content-length', 0)))
      if self.headers.get('transfer-encoding') == 'chunked':
        while size := int(self.rfile.readline(), 16):
          body += self.rfile.read(size)
          self.rfile.readline()
        self.rfile.readline()
      hub.tokens.add(self.headers['authorization'])
      reply = json.dumps(hub.answer(self.path, body)).encode()
      self.send_response(200)
      self.send_header('content-type', 'application/json')
      self.send_header('content-length', str(len(reply)))
      self.end_headers()
      self.wfile.write(reply)

    def log_message(self, *unused_args):
      pass

  with server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as http:
    hub.address = f'http://127.0.0.1:{http.server_port}'
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    try:
      yield hub
    finally:
      http.shutdown()
      thread.join()

"""The programs in the pages do what the pages say."""

import contextlib
import io
import os
import pathlib
import tempfile
import threading

from absl.testing import absltest
import numpy as np

from learner.storage import checkpoints
from learner.storage import run_state
from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import environments
from tests.repository import pages
from tests.repository import sources
from tests.support import fakes


def _program(page: str) -> str:
  text = (sources.ROOT / 'docs' / page).read_text()
  (program,) = pages.blocks(text, 'python')
  return program


class ExamplesTest(absltest.TestCase):
  def test_actor_of_the_wire_acts_survives_the_learner_and_ends(self):
    learner = fakes.FakeLearner()
    self.addCleanup(learner.close)
    program = _program('wire.md').replace(
      'localhost:50051', f'localhost:{learner.port}'
    )
    actor = threading.Thread(target=exec, args=(program, {}), daemon=True)
    actor.start()
    learner.wait_for_requests(20)
    learner.close()
    other = fakes.FakeLearner(f'localhost:{learner.port}')
    self.addCleanup(other.close)
    other.wait_for_requests(2)
    self.assertTrue(other.server.finish(fakes.DEADLINE_SECS))
    actor.join(fakes.DEADLINE_SECS)
    self.assertFalse(actor.is_alive())
    first, *others = learner.requests
    self.assertEqual((first.peer, len(first.env_ids)), ('mine/0', 8))
    self.assertTrue(first.reset)
    self.assertEqual(first.step.flags, bytes(8))
    # An episode of Catch has 9 steps: its end is in request 9.
    self.assertEqual(others[8].step.flags, bytes([1] * 8))
    rewards = np.frombuffer(others[8].step.rewards, '<f4')
    self.assertSetEqual(set(np.abs(rewards).tolist()), {1.0})
    self.assertEqual(others[7].step.flags, bytes(8))
    self.assertTrue(other.requests[0].reset)
    self.assertEqual(other.requests[0].step.flags, bytes(8))

  def test_reader_of_checkpoints_finds_what_was_saved(self):
    config = config_lib.preset('smoke', outer_critic='none')
    agent = agent_lib.make(config, environments.spec(config.env))
    state = agent.init(0)._replace(
      num_updates=np.int64(3), env_frames=np.int64(480)
    )
    folder = self.enterContext(tempfile.TemporaryDirectory())
    self.enterContext(contextlib.chdir(folder))
    os.makedirs('runs/catch')
    fresh = run_state.fresh()
    statistics = fresh.statistics._replace(seconds=2.6, episodes=7)
    checkpoints.save(
      pathlib.Path('runs/catch/checkpoints'),
      state,
      extra=run_state.encode(fresh._replace(statistics=statistics)),
      keep=1,
    )
    with contextlib.redirect_stdout(io.StringIO()) as printed:
      exec(_program('checkpoints.md'), {})
    # Catch's mlp: 50 x 64, 64 x 64, 2 x 16 without, 80 x 3 and 80 x 1 with a
    # bias for each unit.
    size = 51 * 64 + 65 * 64 + 2 * 16 + 81 * 3 + 81
    lines = printed.getvalue().splitlines()
    self.assertEqual(lines[0], '480 frames')
    self.assertStartsWith(lines[1], 'discount 0.99')
    self.assertEqual(lines[2], f'{size} parameters')
    self.assertEqual(lines[3:], ['3 seconds', '7 episodes'])


if __name__ == '__main__':
  absltest.main()

"""A policy acts as the agent did and refuses what does not fit."""

# Before everything that imports TensorFlow.
from experiments.evaluation import policy as policy_lib  # isort: skip

import json
import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from learner.storage import checkpoints
from learner.storage import workdir as workdir_lib
from seed_metagrad import agent as agent_lib
from seed_metagrad import environments
from seed_metagrad import types
from tests.support import untrained


class PolicyTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.workdir = (
      pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / 'run'
    )

  def _refused(self, error, text, **kwargs):
    with self.assertRaisesRegex(error, text):
      policy_lib.load(self.workdir, **kwargs)

  @parameterized.parameters('none', 'lstm')
  def test_acts_as_the_agent_with_its_memory(self, core):
    state = untrained.make_workdir(self.workdir, 'pong', core=core)
    policy = policy_lib.load(self.workdir)
    agent = agent_lib.make(
      workdir_lib.read_config(self.workdir), environments.spec('pong')
    )
    shown = (
      np.random.default_rng(1).integers(0, 256, [4, 2, 84, 84]).astype(np.uint8)
    )
    reset = np.zeros([4, 2], bool)
    reset[0] = reset[2, 1] = True
    actions = np.array([[9, 9], [1, 2], [3, 9], [5, 0]], np.int32)
    rewards = np.float32([[9, 9], [0, 1], [-1, 9], [0.5, 0]])
    stacks = np.zeros([2, 84, 84, 4], np.uint8)
    core_state = agent.initial_state(2)
    policy.reset(2)
    for t in range(4):
      logits, values = policy.act(shown[t], reset[t], actions[t], rewards[t])
      stacks = np.concatenate([stacks[..., 1:], shown[t, ..., None]], axis=-1)
      stacks[reset[t], ..., :3] = 0
      core_step = ()
      if core_state:
        core_state = core_state._replace(action=actions[t])
        core_step = (types.CoreStep(core_state, rewards[t], reset[t]),)
      outputs, core_state = agent.act(
        state.params, state.eta, stacks, [0, 0], *core_step
      )
      np.testing.assert_allclose(logits, outputs.policy_logits, atol=1e-5)
      np.testing.assert_allclose(values, outputs.baseline, atol=1e-5)

  def test_says_what_was_learned(self):
    untrained.make_workdir(
      self.workdir, 'catch', learned=('lambda_',), lambda_=0.7, discount=0.9
    )
    policy = policy_lib.load(self.workdir / 'checkpoints/checkpoint_0.npz')
    self.assertAlmostEqual(policy.hyperparameters['lambda_'], 0.7, places=5)
    self.assertEqual(policy.hyperparameters['discount'], 0.9)
    self.assertEqual((policy.num_updates, policy.env_frames), (0, 0))
    self.assertEqual(policy.workdir, self.workdir.resolve())

  def test_no_checkpoint(self):
    self._refused(FileNotFoundError, 'no checkpoint .*run')
    self.workdir.mkdir()
    self._refused(FileNotFoundError, 'run holds no checkpoint')

  def test_checkpoint_outside_a_workdir(self):
    untrained.make_workdir(self.workdir, 'catch')
    (self.workdir / 'config.json').unlink()
    self._refused(FileNotFoundError, 'in no workdir.*config.json is missing')

  def test_checkpoint_of_another_environment(self):
    untrained.make_workdir(self.workdir, 'catch')
    self._refused(ValueError, "on 'catch', not on 'chain'", env='chain')

  def test_checkpoint_of_another_network(self):
    untrained.make_workdir(self.workdir, 'catch')
    config = self.workdir / 'config.json'
    config.write_text(
      json.dumps(json.loads(config.read_text()) | {'conditioning': False})
    )
    self._refused(ValueError, 'checkpoint_0.npz does not fit')

  def test_damaged_checkpoint(self):
    untrained.make_workdir(self.workdir, 'catch')
    path = self.workdir / 'checkpoints/checkpoint_0.npz'
    path.write_bytes(path.read_bytes()[:-100])
    self._refused(ValueError, 'checkpoint_0.npz is damaged')

  def test_checkpoint_of_a_run_that_diverged(self):
    state = untrained.make_workdir(self.workdir, 'catch')
    params = tf.nest.map_structure(lambda x: x * np.inf, state.params)
    checkpoints.save(
      self.workdir / 'checkpoints',
      state._replace(params=params, num_updates=tf.constant(1, tf.int64)),
      extra={},
      keep=1,
    )
    self._refused(ValueError, 'checkpoint_1.npz has parameters .* not finite')


if __name__ == '__main__':
  absltest.main()

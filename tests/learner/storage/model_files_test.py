"""An agent out of its run is what it was; what does not fit is named."""

# Before everything that imports TensorFlow.
from learner import quiet_tensorflow  # noqa: F401  # isort: skip

import json
import pathlib
import tempfile

from absl.testing import absltest
import numpy as np
import pytest
import tensorflow as tf

from learner.storage import model_files
from learner.storage import workdir as workdir_lib
from seed_metagrad import agent as agent_lib
from seed_metagrad import environments
from tests.support import untrained

safetensors = pytest.importorskip('safetensors.numpy')


class ModelFilesTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.workdir, self.out = self.folder / 'run', self.folder / 'out'
    self.out.mkdir()

  def _exported(self, **fields):
    state = untrained.make_workdir(self.workdir, 'catch', **fields)
    model = model_files.read(self.workdir)
    model_files.write(self.out, model)
    return state

  def _fresh(self, **fields):
    other = self.folder / 'other'
    state = untrained.make_workdir(other, 'catch', **fields)
    config = workdir_lib.read_config(other)
    return agent_lib.make(config, environments.spec('catch')), state

  def _assert_equal(self, found, expected):
    tf.nest.map_structure(np.testing.assert_array_equal, found, expected)

  def test_arrays_have_names(self):
    self._exported(learned=('discount',), outer_critic='none')
    arrays = safetensors.load_file(self.out / model_files.MODEL)
    # Catch is 10 x 5: the mlp has 64 and 64; the embedding of one value 16.
    self.assertEqual(
      {name: array.shape for name, array in arrays.items() if '/' in name},
      {
        'agent/torso/dense_0/kernel': (50, 64),
        'agent/torso/dense_0/bias': (64,),
        'agent/torso/dense_1/kernel': (64, 64),
        'agent/torso/dense_1/bias': (64,),
        'agent/heads/embedding/kernel': (1, 16),
        'agent/heads/policy/kernel': (80, 3),
        'agent/heads/policy/bias': (3,),
        'agent/heads/baseline/kernel': (80, 1),
        'agent/heads/baseline/bias': (1,),
        'eta/discount': (),
      },
    )

  def test_reads_what_it_wrote(self):
    for number, fields in enumerate(
      (
        {'discount': 0.8},
        {'learned': ()},
        {'eta': 'meta_network'},
        {'outer_critic': 'network', 'auxiliary_heads': 1},
      )
    ):
      with self.subTest(**fields):
        self.workdir = self.folder / f'run-{number}'
        state = self._exported(**fields)
        model = model_files.read(self.out)
        for part in ('params', 'eta', 'context', 'num_updates', 'env_frames'):
          self._assert_equal(getattr(model.state, part), getattr(state, part))

  def test_config_names_no_folder_of_this_machine(self):
    self._exported(init_from='/home/somebody/run')
    fields = json.loads((self.out / 'config.json').read_text())
    self.assertEqual(fields['workdir'], 'runs/default')
    self.assertEqual(fields['init_from'], 'run')

  def test_init_takes_the_parameters_alone(self):
    self._exported(discount=0.5)
    agent, _ = self._fresh(discount=0.9)
    state = agent.init(seed=7)
    found = model_files.with_params_of(self.out, agent, state)
    self._assert_equal(
      found.params, model_files.read(self.workdir).state.params
    )
    self._assert_equal(found._replace(params=()), state._replace(params=()))

  def test_init_from_a_run_without_the_outer_critic(self):
    self._exported(outer_critic='none')
    agent, state = self._fresh(outer_critic='head')
    found = model_files.with_params_of(self.out, agent, state)
    self._assert_equal(
      found.params['agent'], model_files.read(self.workdir).state.params
    )
    self._assert_equal(
      found.params['outer_critic'], state.params['outer_critic']
    )

  def test_init_from_another_network_is_refused(self):
    self._exported(conditioning=False)
    agent, state = self._fresh(conditioning=True)
    with self.assertRaisesRegex(ValueError, "lacks .*'agent/heads/embedding"):
      model_files.with_params_of(self.out, agent, state)

  def test_damaged_file_is_refused(self):
    self._exported()
    path = self.out / model_files.MODEL
    for contents in (path.read_bytes()[:-9], b'', b'{}'):
      path.write_bytes(contents)
      with self.assertRaisesRegex(ValueError, 'model.safetensors is damaged'):
        model_files.read(self.out)

  def test_file_of_others_is_refused(self):
    self._exported()
    path = self.out / model_files.MODEL
    path.write_bytes(safetensors.save({'w': np.zeros(2)}))
    with self.assertRaisesRegex(ValueError, 'model.safetensors is damaged'):
      model_files.read(self.out)


if __name__ == '__main__':
  absltest.main()

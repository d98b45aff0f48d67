"""Acting and updating with the mlp: masks, schedules, skipped updates."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import types
from seed_metagrad.meta_gradients import meta_parameters
from seed_metagrad.networks import frames
from tests.support import tiny

_SPEC = tiny.SPEC._replace(action_repeat=4)
_BATCH = 3
_NAN = float('nan')


def _config(**fields):
  return config_lib.preset(
    'smoke',
    **{
      **dict(total_env_frames=1000, learning_rate=0.1, rms_epsilon=0.01),
      'outer_critic': 'none',
      **fields,
    },
  )


def _make(**fields):
  agent = agent_lib.make(_config(**fields), _SPEC)
  return agent, agent.init(1)


def _unrolls(seed=0, steps=1):
  return tiny.unrolls(_BATCH, steps, seed)


def _with_env(unroll, **fields):
  return unroll._replace(env_outputs=unroll.env_outputs._replace(**fields))


def _assert_same(a, b):
  for x, y in zip(tf.nest.flatten(a), tf.nest.flatten(b), strict=True):
    np.testing.assert_array_equal(x, y)


def _core_step(core_state, unroll, t):
  """What a core is given at a step of an unroll, none without a core."""
  if not core_state:
    return ()
  env_outputs = unroll.env_outputs
  starts = env_outputs.terminated[t] | env_outputs.truncated[t]
  return (types.CoreStep(core_state, env_outputs.reward[t], starts),)


def _changed(a, b):
  return any(
    not np.array_equal(x, y)
    for x, y in zip(tf.nest.flatten(a), tf.nest.flatten(b), strict=True)
  )


class ActTest(parameterized.TestCase):
  def _act(self, agent, state, seed, num_envs=64):
    stacked = np.random.default_rng(0).normal(size=[num_envs, tiny.SIZE, 1])
    return agent.act(
      state.params, state.eta, stacked, tf.constant([0, seed])
    ).outputs

  def test_is_made_by_its_seed(self):
    agent, state = _make()
    a, b, other = (self._act(agent, state, seed) for seed in (1, 1, 2))
    _assert_same(a, b)
    self.assertTrue(_changed(a.action, other.action))
    _assert_same(a.policy_logits, other.policy_logits)

  def test_actions_follow_the_policy(self):
    agent, state = _make()
    output = self._act(agent, state, 1, num_envs=4000)
    expected = tf.reduce_mean(tf.nn.softmax(output.policy_logits), axis=0)
    counts = np.bincount(output.action, minlength=tiny.NUM_ACTIONS)
    # Four standard deviations of a mean of 4000.
    np.testing.assert_allclose(counts / 4000.0, expected, atol=4 * 0.5 / 63.0)

  def test_sees_eta_where_it_is_conditioned(self):
    agent, state = _make()
    output = self._act(agent, state, 1)
    eta = {name: logit + 1.0 for name, logit in state.eta.items()}
    moved = self._act(agent, state._replace(eta=eta), 1)
    self.assertTrue(_changed(output.baseline, moved.baseline))
    plain, plain_state = _make(conditioning=False)
    _assert_same(
      self._act(plain, plain_state, 1),
      self._act(plain, plain_state._replace(eta=eta), 1),
    )

  @parameterized.parameters('none', 'lstm')
  def test_sees_what_updates_see(self, core):
    # Step by step through ends of every kind, as the forward pass of updates.
    config = _config(learned=('discount',), core=core, core_units=6)
    spec = types.EnvSpec(
      (tiny.SIZE,), 'float32', tiny.NUM_ACTIONS, frame_stack=3
    )
    agent = agent_lib.make(config, spec)
    rules = agent.rules
    state, (unroll,) = agent.init(1), tiny.unrolls(_BATCH)[0]
    core_state = agent.initial_state(_BATCH)
    if core_state:
      core_state = tiny.core_state(_BATCH, 6, np.float32)
    env_outputs = unroll.env_outputs
    observations = np.asarray(env_outputs.observation, np.float32)
    stacks = frames.empty(spec, _BATCH)
    whole = rules.forward(
      state.params,
      _with_env(unroll, observation=observations)._replace(
        memory=np.moveaxis(frames.previous(stacks), 0, 1),
        core_state=tf.nest.map_structure(lambda x: x[np.newaxis], core_state),
      ),
      meta_parameters.conditioning(state.eta),
    )
    for t in range(tiny.LENGTH + 1):
      frames.push(
        stacks,
        observations[t],
        np.array(env_outputs.terminated[t] | env_outputs.truncated[t]),
      )
      acted = agent.act(
        state.params,
        state.eta,
        stacks,
        tf.constant([0, t]),
        *_core_step(core_state, unroll, t),
      )
      np.testing.assert_allclose(
        acted.outputs.baseline, whole.baseline[t], atol=1e-6
      )
      if core_state:
        core_state = acted.core_state._replace(
          action=unroll.agent_outputs.action[t]
        )

  def test_memory_ends_with_an_episode(self):
    config = _config(core='lstm', core_units=6)
    spec = types.EnvSpec((tiny.SIZE,), 'float32', tiny.NUM_ACTIONS)
    agent = agent_lib.make(config, spec)
    state = agent.init(1)
    stacks = np.ones([2, tiny.SIZE, 1], np.float32)
    starts = np.array([True, False])
    values = [
      agent.act(
        state.params,
        state.eta,
        stacks,
        tf.constant([0, 0]),
        types.CoreStep(
          types.CoreState(lstm=np.full([2, 12], x), action=np.array([x, x])),
          np.float32([x, x]),
          starts,
        ),
      ).outputs.baseline.numpy()
      for x in (0, 1)
    ]
    np.testing.assert_array_equal(values[0] == values[1], starts)

  @parameterized.parameters('action', 'reward')
  def test_what_led_here_is_seen_unless_it_is_switched_off(self, what):
    for sees in (True, False):
      config = _config(core='lstm', core_units=6, core_sees_action=sees)
      spec = types.EnvSpec((tiny.SIZE,), 'float32', tiny.NUM_ACTIONS)
      agent = agent_lib.make(config, spec)
      state = agent.init(1)
      zeros = agent.initial_state(1)
      before = {'action': np.array([1]), 'reward': np.float32([0.5])}
      values = []
      for changed in (0, before[what]):
        given = before | {what: before[what] + changed}
        core_step = types.CoreStep(
          zeros._replace(action=given['action']),
          given['reward'],
          np.array([False]),
        )
        acted = agent.act(
          state.params,
          state.eta,
          np.ones([1, tiny.SIZE, 1], np.float32),
          tf.constant([0, 0]),
          core_step,
        )
        values.append(acted.outputs.baseline.numpy())
      self.assertEqual(bool(values[0] != values[1]), sees)

  def test_rewards_are_clipped_for_the_core_as_for_the_loss(self):
    config = _config(core='lstm', core_units=6, learned=())
    rules, unroll = None, tiny.unrolls(_BATCH)[0][0]
    spec = types.EnvSpec((tiny.SIZE,), 'float32', tiny.NUM_ACTIONS)
    agent = agent_lib.make(config, spec)
    rules, state = agent.rules, agent.init(1)
    core_state = tiny.core_state(_BATCH, 6, np.float32)
    unroll = unroll._replace(
      core_state=tf.nest.map_structure(lambda x: x[np.newaxis], core_state)
    )
    reward = unroll.env_outputs.reward
    self.assertGreater(float(tf.reduce_max(abs(reward))), 1.5)
    seen, clipped = (
      rules.forward(state.params, _with_env(unroll, reward=r), None).baseline
      for r in (reward, tf.clip_by_value(reward, -1.0, 1.0))
    )
    np.testing.assert_array_equal(seen, clipped)


class MakeTest(parameterized.TestCase):
  @parameterized.parameters(
    ('network', ''),
    ('network', 'resnet'),
    ('optimizer', 'lion'),
    ('meta_optimizer', 'lion'),
    ('outer', 'regret'),
  )
  def test_unknown_name_is_refused_with_the_known_ones(self, field, name):
    with self.assertRaisesRegex(ValueError, f"must be .*one of .*got '{name}'"):
      _make(**{field: name})


class UpdateTest(parameterized.TestCase):
  def test_starts_at_the_values_of_the_config(self):
    _, state = _make(
      learned=('discount', 'lambda_', 'entropy_cost'),
      discount=0.9,
      lambda_=1.0,
      entropy_cost=0.02,
      outer_entropy_cost=0.1,
    )
    config = _config(entropy_cost=0.02, outer_entropy_cost=0.1)
    bounds = config_lib.bounds(config)
    values = meta_parameters.values(state.eta, bounds)
    self.assertEqual(sorted(values), ['discount', 'entropy_cost', 'lambda_'])
    np.testing.assert_allclose(values['discount'], 0.9, rtol=1e-5)
    np.testing.assert_allclose(values['entropy_cost'], 0.02, rtol=1e-5)
    np.testing.assert_allclose(values['lambda_'], 0.99, rtol=1e-5)

  def test_a_learned_discount_stays_below_its_bound(self):
    config = _config(discount=0.9, max_discount=0.95)
    _, state = _make(learned=('discount',), discount=0.9, max_discount=0.95)
    for logit, expected in (
      (state.eta['discount'], 0.9),
      (tf.constant(20.0), 0.95),
    ):
      found = agent_lib.hyperparameters(
        config, state._replace(eta={'discount': logit})
      )
      np.testing.assert_allclose(found['discount'], expected, rtol=1e-5)
    with self.assertRaisesRegex(
      ValueError, 'discount must be .* at most 0.95 where .* got 0.96'
    ):
      _make(learned=('discount',), discount=0.96, max_discount=0.95)

  def test_counts_updates_and_frames(self):
    agent, state = _make(inner_updates=2)
    for _ in range(2):
      state, _ = agent.update(state, *_unrolls(steps=2))
    self.assertEqual(state.num_updates, 2)
    # 2 updates of 2 unrolls of T steps of B environments, 4 frames each.
    self.assertEqual(state.env_frames, 2 * 2 * tiny.LENGTH * _BATCH * 4)

  @parameterized.parameters((0, 0.1), (250, 0.075), (1000, 0.0), (1040, 0.0))
  def test_learning_rate_decays_to_zero(self, env_frames, expected):
    agent, state = _make()
    state = state._replace(env_frames=tf.constant(env_frames, tf.int64))
    new, metrics = agent.update(state, *_unrolls())
    np.testing.assert_allclose(metrics['learning_rate'], expected, rtol=1e-6)
    self.assertEqual(_changed(new.params, state.params), expected > 0.0)

  @parameterized.parameters((0, 0.1), (250, 0.085), (1000, 0.04), (1040, 0.04))
  def test_learning_rate_decays_to_its_final_value(self, env_frames, expected):
    agent, state = _make(final_learning_rate=0.04)
    state = state._replace(env_frames=tf.constant(env_frames, tf.int64))
    _, metrics = agent.update(state, *_unrolls())
    np.testing.assert_allclose(metrics['learning_rate'], expected, rtol=1e-6)

  @parameterized.parameters((0, 0.1), (250, 0.05), (500, 0.0), (900, 0.0))
  def test_learning_rate_decays_over_its_own_frames(self, env_frames, expected):
    agent, state = _make(decay_env_frames=500)
    state = state._replace(env_frames=tf.constant(env_frames, tf.int64))
    _, metrics = agent.update(state, *_unrolls())
    np.testing.assert_allclose(metrics['learning_rate'], expected, rtol=1e-6)

  def test_truncated_transition_moves_nothing(self):
    agent, state = _make()
    (unroll,), meta_unroll = _unrolls()
    rewards = unroll.env_outputs.reward.numpy()
    rewards[unroll.env_outputs.truncated] = 0.123
    ratios = unroll.agent_outputs.policy_logits.numpy()
    ratios[:-1][unroll.env_outputs.truncated[1:]] = [3.0, 2.0, 1.0]
    moved = _with_env(unroll, reward=tf.constant(rewards))
    moved = moved._replace(
      agent_outputs=moved.agent_outputs._replace(
        policy_logits=tf.constant(ratios)
      )
    )
    a, _ = agent.update(state, [unroll], meta_unroll)
    b, _ = agent.update(state, [moved], meta_unroll)
    _assert_same(a, b)

  def test_life_loss_is_discount_zero(self):
    # Without a frame stack it is an end of the episode.
    agent, state = _make()
    (unroll,), meta_unroll = _unrolls()
    env = unroll.env_outputs
    ended = _with_env(
      unroll,
      terminated=env.terminated | env.life_lost,
      life_lost=tf.zeros_like(env.life_lost),
    )
    unseen = _with_env(unroll, life_lost=tf.zeros_like(env.life_lost))
    a, b, other = (
      agent.update(state, [x], meta_unroll)[0] for x in (unroll, ended, unseen)
    )
    _assert_same(a, b)
    self.assertTrue(_changed(a.params, other.params))

  @parameterized.parameters((1.0, False), (0.0, True))
  def test_rewards_are_clipped(self, max_abs_reward, differs):
    agent, state = _make(max_abs_reward=max_abs_reward)
    (unroll,), meta_unroll = _unrolls()
    clipped = _with_env(
      unroll, reward=tf.clip_by_value(unroll.env_outputs.reward, -1.0, 1.0)
    )
    a, _ = agent.update(state, [unroll], meta_unroll)
    b, _ = agent.update(state, [clipped], meta_unroll)
    self.assertEqual(_changed(a.params, b.params), differs)

  @parameterized.parameters(
    ('inner', ('discount',), 0.0),
    ('inner', (), 0.0),
    ('meta', ('discount',), 0.0),
    ('meta', ('discount',), 0.5),
  )
  def test_update_that_is_not_finite_is_skipped(self, where, learned, decay):
    agent, state = _make(learned=learned, trace_decay=decay)
    (unroll,), meta_unroll = _unrolls()
    bad = _with_env(unroll, reward=unroll.env_outputs.reward * _NAN)
    arguments = {'inner': ([bad], meta_unroll), 'meta': ([unroll], [bad])}[
      where
    ]
    new, metrics = agent.update(state, *arguments)
    self.assertEqual(metrics['skipped'], 1)
    self.assertEqual(new.num_updates, 1)
    self.assertEqual(new.env_frames, tiny.LENGTH * _BATCH * 4)
    _assert_same(
      new._replace(num_updates=state.num_updates, env_frames=state.env_frames),
      state,
    )
    after, metrics = agent.update(new, [unroll], meta_unroll)
    self.assertEqual(metrics['skipped'], 0)
    self.assertTrue(_changed(after.params, state.params))

  def test_eta_stays_inside_its_bounds(self):
    agent, state = _make(meta_optimizer='sgd', meta_learning_rate=1e30)
    for k in range(3):
      state, metrics = agent.update(state, *_unrolls(seed=10 * k))
      self.assertEqual(metrics['skipped'], 0)
      for name, value in meta_parameters.values(state.eta).items():
        self.assertBetween(
          float(value), *config_lib.bounds(config_lib.Config())[name]
        )

  @parameterized.parameters((False, 0.0), (False, 0.5), (True, 0.0))
  def test_meta_rate_zero_is_impala(self, graph, trace_decay):
    learned = ('discount', 'lambda_')
    agent, state = _make(
      learned=learned,
      conditioning=False,
      meta_learning_rate=0.0,
      trace_decay=trace_decay,
    )
    values = {
      name: float(value)
      for name, value in meta_parameters.values(state.eta).items()
    }
    impala, plain = _make(learned=(), **values)
    update, plain_update = agent.update, impala.update
    if graph:
      update, plain_update = tf.function(update), tf.function(plain_update)
    for k in range(3):
      unrolls, meta_unroll = _unrolls(seed=10 * k)
      state, _ = update(state, unrolls, meta_unroll)
      plain, _ = plain_update(plain, unrolls, meta_unroll)
    _assert_same(
      (state.params, state.opt_state), (plain.params, plain.opt_state)
    )

  @parameterized.parameters((), ('discount',))
  def test_parameters_that_diverge_are_not_taken(self, *learned):
    # Every gradient and metric is finite: the step is not.
    agent, state = _make(
      learned=learned, learning_rate=3e38, optimizer='rmsprop', rms_epsilon=1e-9
    )
    unrolls, meta_unrolls = _unrolls()
    new, metrics = agent.update(state, unrolls, meta_unrolls if learned else [])
    self.assertEqual(metrics['skipped'], 1)
    _assert_same(new.params, state.params)

  def test_hyperparameters_are_learned_or_of_the_config(self):
    config = config_lib.preset('smoke', discount=0.7, entropy_cost=0.25)
    eta = {'lambda_': tf.constant([np.log(3.0), -np.log(3.0)], tf.float32)}
    state = types.LearnerState(*[()] * 7)._replace(eta=eta)
    values = agent_lib.hyperparameters(config, state)
    self.assertEqual(set(values), set(config_lib.LEARNABLE))
    self.assertEqual((values['discount'], values['entropy_cost']), (0.7, 0.25))
    self.assertAlmostEqual(values['lambda_'], 0.5)  # Mean of 3/4 and 1/4.


if __name__ == '__main__':
  absltest.main()

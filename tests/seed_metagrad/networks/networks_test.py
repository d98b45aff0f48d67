"""Networks: sizes by hand, steps against unrolls, derivatives."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from seed_metagrad import networks
from seed_metagrad import types
from seed_metagrad.networks import torsos

_ATARI = types.EnvSpec((84, 84), 'uint8', 6, frame_stack=4)
_VECTOR = types.EnvSpec((4,), 'float32', 2, frame_stack=2)
_MINATAR = types.EnvSpec((10, 10, 4), 'float32', 3)
_SNAKE = types.EnvSpec((6, 6, 5), 'float32', 4)
_SPECS = {
  'mlp': _VECTOR,
  'shallow': _ATARI,
  'nature': _ATARI,
  'deep': _ATARI,
  'minatar': _MINATAR,
  'snake': _SNAKE,
}

# Weights and biases, torso only.
_TORSO_SIZES = {
  # [4] stacked by 2, to 64, to 64.
  'mlp': (8 * 64 + 64) + (64 * 64 + 64),
  # 84 -> 20 -> 9: 9 * 9 * 32 = 2592 features.
  'shallow': (8 * 8 * 4 * 16 + 16)
  + (4 * 4 * 16 * 32 + 32)
  + (2592 * 256 + 256),
  # 84 -> 20 -> 9 -> 7: 7 * 7 * 64 = 3136 features.
  'nature': (8 * 8 * 4 * 32 + 32)
  + (4 * 4 * 32 * 64 + 64)
  + (3 * 3 * 64 * 64 + 64)
  + (3136 * 512 + 512),
  # 84 -> 42 -> 21 -> 11: 11 * 11 * 32 = 3872 features; five 3x3 convolutions
  # in each of three sections.
  'deep': (9 * 4 * 16 + 16)
  + 4 * (9 * 16 * 16 + 16)
  + (9 * 16 * 32 + 32)
  + 4 * (9 * 32 * 32 + 32)
  + (9 * 32 * 32 + 32)
  + 4 * (9 * 32 * 32 + 32)
  + (3872 * 256 + 256),
  # 10 -> 8: 8 * 8 * 16 = 1024 features.
  'minatar': (3 * 3 * 4 * 16 + 16) + (1024 * 128 + 128),
  # 6 -> 3 -> 3: 3 * 3 * 32 = 288 features, in each of the two torsos.
  'snake': 2 * (2 * 2 * 5 * 32 + 32)
  + 2 * (2 * 2 * 32 * 32 + 32)
  + (288 * 64 + 64)
  + (64 * 64 + 64)
  + (288 * 128 + 128)
  + (128 * 128 + 128),
}
# What the policy's head sees, and the value's.
_FEATURES = {
  'mlp': (64, 64),
  'shallow': (256, 256),
  'nature': (512, 512),
  'deep': (256, 256),
  'minatar': (128, 128),
  'snake': (64, 128),
}


def _stacked(spec, time, batch, seed=0):
  rng = np.random.default_rng(seed)
  shape = [time, batch, *spec.observation_shape, spec.frame_stack]
  if spec.observation_dtype == 'uint8':
    return rng.integers(1, 256, shape).astype(np.uint8)
  return rng.normal(size=shape).astype(spec.observation_dtype)


class NetworksTest(parameterized.TestCase):
  @parameterized.product(name=sorted(torsos.TORSOS), num_conditioning=(0, 2))
  def test_sizes_by_hand(self, name, num_conditioning):
    spec = _SPECS[name]
    network = networks.make(name, spec, num_conditioning=num_conditioning)
    policy, value = (
      features + (16 if num_conditioning else 0) for features in _FEATURES[name]
    )
    heads = (policy + 1) * spec.num_actions + (value + 1)
    self.assertEqual(
      sum(p.size for p in network.init(0)),
      _TORSO_SIZES[name] + heads + 16 * num_conditioning,
    )

  @parameterized.parameters(sorted(torsos.TORSOS))
  def test_init_is_made_by_its_seed(self, name):
    network = networks.make(name, _SPECS[name])
    a, b, other = network.init(3), network.init(3), network.init(4)
    for x, y, z in zip(a, b, other, strict=True):
      np.testing.assert_array_equal(x, y)
      if x.ndim > 1:  # Biases start at zero.
        self.assertFalse(np.array_equal(x, z))

  @parameterized.parameters(sorted(torsos.TORSOS))
  def test_step_by_step_is_the_unroll(self, name):
    spec, time, batch = _SPECS[name], 5, 2
    network = networks.make(name, spec, num_conditioning=1)
    params = network.init(0)
    eta = types.Conditioning(tf.constant([0.9]))
    stacked = _stacked(spec, time, batch)
    whole = network.apply(params, stacked, eta)
    for t in range(time):
      step = network.apply(params, stacked[t : t + 1], eta)
      np.testing.assert_allclose(
        step.policy_logits[0], whole.policy_logits[t], atol=1e-5
      )
      np.testing.assert_allclose(step.baseline[0], whole.baseline[t], atol=1e-5)

  @parameterized.parameters(sorted(torsos.TORSOS))
  def test_every_parameter_has_both_derivatives(self, name):
    spec = _SPECS[name]
    network = networks.make(name, spec, num_conditioning=1)
    params = [tf.constant(p) for p in network.init(0)]

    @tf.function
    def derivatives():
      with tf.GradientTape() as outer:
        outer.watch(params)
        with tf.GradientTape() as inner:
          inner.watch(params)
          outputs = network.apply(
            params, _stacked(spec, 2, 1), types.Conditioning(tf.constant([0.9]))
          )
          total = tf.reduce_sum(
            tf.math.log_softmax(outputs.policy_logits) ** 2
          ) + tf.reduce_sum(outputs.baseline**2)
        first = inner.gradient(total, params)
        norm = tf.add_n([tf.reduce_sum(g**2) for g in first])
      return first, outer.gradient(norm, params)

    for gradients in derivatives():
      for gradient in gradients:  # None is no tensor, and has no shape.
        self.assertTrue(np.all(np.isfinite(gradient)))
        self.assertTrue(np.any(gradient))

  def test_conditioning_moves_both_heads(self):
    network = networks.make('mlp', _VECTOR, num_conditioning=2)
    params, stacked = network.init(0), _stacked(_VECTOR, 1, 1)
    a, b = (
      network.apply(params, stacked, types.Conditioning(tf.constant(eta)))
      for eta in ([0.9, 0.9], [0.9, 0.5])
    )
    self.assertNotEqual(a.baseline[0, 0], b.baseline[0, 0])
    self.assertFalse(np.array_equal(a.policy_logits, b.policy_logits))

  def test_a_conditioned_critic_by_hand(self):
    network = networks.make(
      'mlp', _VECTOR, num_conditioning=2, outer_critic='conditioned'
    )
    rng = np.random.default_rng(0)
    shapes = [p.shape for p in network.init(0)]
    params = [rng.normal(size=s).astype(np.float32) / 4 for s in shapes]
    stacked = _stacked(_VECTOR, 2, 3)
    etas = np.array([[0.5, 0.2], [1.0, 0.2]], np.float32)
    outputs = network.apply(
      params, stacked, types.Conditioning(*map(tf.constant, etas))
    )
    x = stacked.reshape(6, -1)
    for k in (0, 2):
      x = np.maximum(x @ params[k] + params[k + 1], 0.0)
    embedding, kernel, bias, *heads = params[4:]
    for eta, values in zip(etas, (outputs.baseline, outputs.outer_baseline)):
      e = eta @ embedding
      seen = np.concatenate(
        [x * (bias + e @ kernel), np.tile(e, (6, 1))], axis=1
      )
      expected = seen @ heads[2] + heads[3]
      np.testing.assert_allclose(values, expected.reshape(2, 3), rtol=1e-4)
    apart = (outputs.outer_baseline - outputs.baseline).numpy()
    self.assertGreater(np.std(apart), 0.01)  # Not one number for all states.

  def test_frames_are_scaled_from_bytes(self):
    spec = types.EnvSpec((3,), 'uint8', 2)
    floats = types.EnvSpec((3,), 'float32', 2)
    params = networks.make('mlp', spec).init(0)
    stacked = _stacked(spec, 2, 2)
    a, b = (
      networks.make('mlp', s).apply(params, x, None)
      for s, x in (
        (spec, stacked),
        (floats, (stacked / 255.0).astype(np.float32)),
      )
    )
    np.testing.assert_allclose(a.baseline, b.baseline, rtol=1e-5)

  @parameterized.parameters(
    ('uint8', (), (), 255),
    ('uint8', (0.0,), (1.0,), 1),
    ('uint8', (0.0,), (10.0,), 10),
    ('uint8', (0.0,), (255.0,), 255),
    ('uint8', (0.0,), (0.0,), 1),
    ('float32', (), (), 1),
    ('float32', (-1.0,), (1.0,), 1),
    ('float32', (-10.0,), (10.0,), 1),
    ('float32', (0.0,), (255.0,), 255),
    ('float32', (-500.0,), (100.0,), 500),
    ('float32', (-np.inf,), (100.0,), 1),
    ('float32', (-(2.0**31),), (2.0**31 - 1,), 1),
    ('float32', (-3.4028234663852886e38,), (3.4028234663852886e38,), 1),
    (
      'float32',
      (-1.0, 0.0, -np.inf, 0.0, 0.0, 0.0),
      (1.0, 50.0, 1.0, 11.0, 255.0, 0.0),
      [[1, 50], [1, 11], [255, 1]],
    ),
    (
      'uint8',
      (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
      (1.0, 2.0, 3.0, 255.0, 0.0, 9.0),
      [[1, 2], [3, 255], [1, 9]],
    ),
  )
  def test_observations_are_scaled_by_their_bounds(self, dtype, low, high, by):
    spec = types.EnvSpec((3, 2), dtype, 2, 2, 1, low, high)
    floats = types.EnvSpec((3, 2), 'float32', 2, 2)
    params = networks.make('mlp', spec).init(0)
    stacked = _stacked(types.EnvSpec((3, 2), 'uint8', 2, 2), 2, 2).astype(dtype)
    divided = (stacked / np.float32(by)[..., np.newaxis]).astype(np.float32)
    if np.ndim(by) == 0:
      divided = (stacked / np.float32(by)).astype(np.float32)
    a, b = (
      networks.make('mlp', s).apply(params, x, None).policy_logits
      for s, x in ((spec, stacked), (floats, divided))
    )
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)

  @parameterized.parameters(
    ((84, 84), 'shallow'),
    ((96, 96, 3), 'shallow'),
    ((84, 84, 1), 'shallow'),
    ((64, 64), 'shallow'),
    ((36, 36), 'shallow'),
    ((35, 36), 'mlp'),
    ((35, 36, 3), 'minatar'),
    ((10, 10, 4), 'minatar'),
    ((3, 3, 9), 'minatar'),
    ((2, 3, 4), 'mlp'),
    ((10, 5), 'mlp'),
    ((5, 7), 'mlp'),
    ((4,), 'mlp'),
    ((), 'mlp'),
    ((2, 3, 4, 5), 'mlp'),
  )
  def test_auto_fits_the_observation(self, shape, name):
    spec = types.EnvSpec(shape, 'uint8', 3)
    self.assertEqual(torsos.choose(spec), name)
    self.assertTrue(torsos.fits(name, spec))
    sizes = [
      [p.shape for p in networks.make(network, spec).init(0)]
      for network in ('auto', name)
    ]
    self.assertEqual(*sizes)

  @parameterized.parameters(
    ('shallow', 20), ('nature', 36), ('minatar', 3), ('deep', 1), ('snake', 1)
  )
  def test_the_smallest_image_is_named(self, name, size):
    for shape in ((size, size + 9), (size + 9, size, 3)):
      networks.make(name, types.EnvSpec(shape, 'uint8', 3))
    for shape in ((size - 1, size + 9), (size + 9, size - 1, 3)):
      spec = types.EnvSpec(shape, 'uint8', 3)
      self.assertFalse(torsos.fits(name, spec))
      with self.assertRaisesRegex(
        ValueError, f'at least {size} x {size}, got {shape[0]} x {shape[1]}'
      ):
        networks.make(name, spec)

  @parameterized.parameters('auto', 'shallow', 'deep')
  def test_channels_first_are_refused(self, name):
    for shape in ((4, 84, 84), (3, 96, 96), (1, 10, 10)):
      with self.assertRaisesRegex(
        ValueError, 'channels first: say --channels_first'
      ):
        networks.make(name, types.EnvSpec(shape, 'uint8', 3))

  def test_images_need_no_frame_stack(self):
    spec = types.EnvSpec((36, 36), 'uint8', 3)
    network = networks.make('shallow', spec)
    outputs = network.apply(network.init(0), _stacked(spec, 2, 1), None)
    self.assertEqual(outputs.policy_logits.shape, [2, 1, 3])

  def test_channels_are_the_planes_of_the_stacked_frames(self):
    spec = types.EnvSpec((6, 6, 5), 'float32', 2, frame_stack=3)
    stacked = _stacked(spec, 1, 1)  # [1, 1, 6, 6, 5, 3].
    same = types.EnvSpec((6, 6), 'float32', 2, frame_stack=15)
    params = networks.make('minatar', spec).init(0)
    a, b = (
      networks.make('minatar', s).apply(params, x, None)
      for s, x in ((spec, stacked), (same, stacked.reshape(1, 1, 6, 6, 15)))
    )
    np.testing.assert_array_equal(a.policy_logits, b.policy_logits)

  @parameterized.named_parameters(('policy', 0), ('value', 1))
  def test_snakes_heads_share_no_parameter(self, head):
    network = networks.make('snake', _SNAKE)
    params = [tf.constant(p) for p in network.init(0)]
    with tf.GradientTape() as tape:
      tape.watch(params)
      outputs = network.apply(params, _stacked(_SNAKE, 1, 2), None)
      total = tf.reduce_sum(outputs[head])
    # By the sizes above: two convolutions, two dense layers, the head.
    sizes = {
      0: 672 + 4128 + (288 * 64 + 64) + (64 * 64 + 64) + 65 * 4,
      1: 672 + 4128 + (288 * 128 + 128) + (128 * 128 + 128) + 129,
    }
    self.assertEqual(
      sum(
        int(tf.size(p))
        for p, g in zip(params, tape.gradient(total, params))
        if g is not None
      ),
      sizes[head],
    )

  def test_dsilu_is_the_derivative_of_silu(self):
    # Weights chosen so that feature 0 is the activation of 16 SiLU(.3).
    spec = types.EnvSpec((3, 3, 1), 'float32', 2)
    network = networks.make('minatar', spec)
    params = [np.zeros_like(p) for p in network.init(0)]
    params[1][:] = 0.3
    params[2][:, 0] = 1.0
    params[6][0] = 1.0

    def silu(x):
      return x / (1 + np.exp(-x))

    x, d = 16 * silu(0.3), 1e-4
    np.testing.assert_allclose(
      network.apply(params, _stacked(spec, 1, 1), None).baseline[0, 0],
      (silu(x + d) - silu(x - d)) / (2 * d),
      rtol=1e-5,
    )

  def test_unknown_name_is_refused(self):
    with self.assertRaisesRegex(ValueError, "'deep'.*got 'depe'"):
      networks.make('depe', _ATARI)

  @parameterized.parameters(sorted({*torsos.TORSOS} - {'mlp'}))
  def test_convolutions_refuse_vectors(self, name):
    with self.assertRaisesRegex(ValueError, r'shape \(4,\); take mlp'):
      networks.make(name, _VECTOR)


if __name__ == '__main__':
  absltest.main()

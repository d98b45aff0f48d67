"""Tests of actors/actor.py."""

import asyncio

from absl.testing import absltest
import numpy as np

from actors import actor
from actors import client as client_lib
from protos import inference_pb2
from seed_metagrad.environments import catch

_NUM_ENVS = 2


class _FakeClient:
  """Replays a script of answers and records what was sent."""

  def __init__(self, log, name, answers, states=(b'',)):
    self.sent = []
    self._log = log
    self._name = name
    self._answers = iter(answers)
    self._states = iter(states)

  async def join(self):
    self._log.append(('join', self._name))
    return next(self._states)

  async def send(self, outputs, env_state=b''):
    self._log.append(('send', self._name))
    self.sent.append((outputs, env_state))

  async def receive(self):
    self._log.append(('receive', self._name))
    answer = next(self._answers)
    if isinstance(answer, Exception):
      raise answer
    return answer


def _reply(*actions, send_state=False):
  return client_lib.Reply(np.int32(actions), send_state)


def _run(client, seed):
  group = actor.Group(catch.Catch(_NUM_ENVS, seed=seed), client)
  asyncio.run(actor.run([group]))


class ActorTest(absltest.TestCase):
  def test_one_group_steps_while_the_other_waits(self):
    log = []
    answers = [_reply(1, 1), _reply(1, 1), client_lib.Done()]
    asyncio.run(
      actor.run(
        [
          actor.Group(
            catch.Catch(_NUM_ENVS, seed=0), _FakeClient(log, name, answers)
          )
          for name in 'ab'
        ]
      )
    )
    turn = [('receive', 'a'), ('send', 'a'), ('receive', 'b'), ('send', 'b')]
    self.assertEqual(
      log,
      [
        ('join', 'a'),
        ('send', 'a'),
        ('join', 'b'),
        ('send', 'b'),
        *turn,
        *turn,
        ('receive', 'a'),
      ],
    )

  def test_actions_are_taken_and_their_outcome_is_sent(self):
    client = _FakeClient([], 'a', [_reply(0, 2), client_lib.Done()])
    _run(client, seed=0)
    twin = catch.Catch(_NUM_ENVS, seed=0)
    expected = [twin.reset(), twin.step(np.int32([0, 2]))]
    for (outputs, _), wanted in zip(client.sent, expected, strict=True):
      np.testing.assert_array_equal(outputs.observation, wanted.observation)

  def test_a_lost_lease_is_replaced_with_new_episodes(self):
    log = []
    client = _FakeClient(
      log,
      'a',
      [_reply(1, 1), client_lib.Lost(), client_lib.Done()],
      states=(b'', b''),
    )
    _run(client, seed=0)
    self.assertEqual(
      [what for what, _ in log],
      ['join', 'send', 'receive', 'send', 'receive', 'join', 'send', 'receive'],
    )
    newest = client.sent[-1][0]
    # The balls are in the first row again.
    np.testing.assert_array_equal(
      newest.observation[:, 0].sum(axis=1), [1.0, 1.0]
    )

  def test_an_action_out_of_range_ends_the_actor(self):
    client = _FakeClient([], 'a', [_reply(0, 3)])
    with self.assertRaisesRegex(ValueError, '3'):
      _run(client, seed=0)

  def test_a_saved_state_continues_exactly(self):
    actions = [_reply(0, 1), _reply(1, 2, send_state=True), *[_reply(2, 0)] * 9]
    uninterrupted = _FakeClient([], 'a', [*actions, client_lib.Done()])
    _run(uninterrupted, seed=0)
    states = [state for _, state in uninterrupted.sent]
    self.assertEqual([i for i, state in enumerate(states) if state], [2])

    resumed = _FakeClient(
      [], 'a', [*actions[2:], client_lib.Done()], states=[states[2]]
    )
    _run(resumed, seed=7)
    for (got, _), (wanted, _) in zip(
      resumed.sent, uninterrupted.sent[2:], strict=True
    ):
      for name, value in wanted._asdict().items():
        np.testing.assert_array_equal(getattr(got, name), value, name)

  def test_a_saved_state_is_a_step(self):
    client = _FakeClient(
      [], 'a', [_reply(1, 1, send_state=True), client_lib.Done()]
    )
    _run(client, seed=0)
    outputs, state = client.sent[-1]
    step = inference_pb2.ActRequest.FromString(state)
    self.assertEqual(step.rewards, outputs.reward.tobytes())
    self.assertNotEmpty(step.env_state)

  def test_every_group_has_its_own_seed(self):
    seeds = {
      actor.env_seed(seed, index, group)
      for seed in range(2)
      for index in range(50)
      for group in range(2)
    }
    self.assertLen(seeds, 200)
    self.assertEqual(actor.env_seed(1, 2, 0), actor.env_seed(1, 2, 0))


if __name__ == '__main__':
  absltest.main()

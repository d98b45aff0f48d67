"""What hosts share, and which is lost."""

import subprocess
import sys
import types

from absl.testing import absltest
from absl.testing import parameterized
import pytest
import tensorflow as tf

from learner.distributed import hosts as hosts_lib
from tests.support import replicas

pytestmark = pytest.mark.integration

_DEADLINE_SECS = 100

# One of two hosts: host 1 has another seed, and dies.
_HOST = """
from learner import quiet_tensorflow
import os, signal
import tensorflow as tf
from learner.distributed import hosts as hosts_lib
from learner.distributed import strategies
from tests.support import replicas
hosts = hosts_lib.Hosts(strategies.make(replicas.config('multi_worker')))
print(hosts.num, hosts.index, hosts.is_chief)
print(hosts.sum([hosts.index, 10]))
state = hosts.from_chief({'a': tf.constant([1.5, 2.5]) * (hosts.index + 1),
                          'b': tf.constant(hosts.index + 7, tf.int64)})
print(state['a'].numpy().tolist(), state['b'].numpy())
try:
  config = replicas.config('one', seed=hosts.index)
  hosts.check_same(config, ['learned', 'seed'])
  while True:
    hosts.sum([1])
except ValueError as error:
  print(error)
  os.kill(os.getpid(), signal.SIGKILL)
except hosts_lib.LostError as error:
  print(error)
"""


def _two_hosts():
  cluster = tf.train.ClusterSpec({'worker': ['a:1', 'b:2']})
  resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
    cluster, task_type='worker', task_id=1
  )
  return hosts_lib.Hosts(types.SimpleNamespace(cluster_resolver=resolver))


class HostsTest(parameterized.TestCase):
  def test_two_hosts_agree_until_one_is_gone(self):
    processes = [
      subprocess.Popen(
        [sys.executable, '-u', '-c', _HOST],
        env=env,
        text=True,
        stdout=subprocess.PIPE,
      )
      for env in replicas.cluster(2)
    ]
    for process in processes:
      self.addCleanup(process.stdout.close)
      self.addCleanup(process.wait)
      self.addCleanup(process.kill)
    chief, other = (
      process.communicate(timeout=_DEADLINE_SECS)[0].splitlines()
      for process in processes
    )
    # [0 + 1, 10 + 10], and the chief's own.
    agreed = ['[1, 20]', '[1.5, 2.5] 7']
    self.assertEqual(chief[:-1], ['2 0 True', *agreed])
    self.assertRegex(
      chief[-1], r'^learner host 1, 127.0.0.1:\d+, is lost \(.*\). Start all'
    )
    self.assertEqual(
      other,
      [
        '2 1 False',
        *agreed,
        "the chief was started with other values of ['seed'].",
      ],
    )

  @parameterized.parameters(
    (
      'Graph\nCollective ops is aborted by: Error reported from'
      ' /job:worker/task:1: The following',
      'host 1, b:2',
    ),
    ('Collective ops is aborted by: Deadline', 'host 0, a:1'),
    ('remote target /job:worker/replica:0/task:1 while', 'host 1, b:2'),
    # The node in braces is this host's own.
    ('{{node _device_/job:worker/task:1/device}} aborted by: x', 'host 0, a:1'),
  )
  def test_lost_host_is_named(self, reason, name):
    error = tf.errors.UnavailableError(None, None, reason)
    with self.assertRaisesRegex(
      hosts_lib.LostError, f'learner {name}, is lost'
    ):
      with _two_hosts().watched():
        raise error

  def test_another_error_stays_itself(self):
    error = tf.errors.InternalError(None, None, 'no memory')
    for hosts in (_two_hosts(), hosts_lib.Hosts()):
      with self.assertRaises(tf.errors.InternalError), hosts.watched():
        raise error

  def test_one_host_agrees_with_itself(self):
    hosts = hosts_lib.Hosts()
    self.assertEqual((hosts.num, hosts.index, hosts.is_chief), (1, 0, True))
    self.assertEqual(hosts.sum([True, 3]), [True, 3])
    state = {'a': tf.constant(1.0)}
    self.assertIs(hosts.from_chief(state), state)
    hosts.check_same(replicas.config('one'), ['learned', 'seed'])


if __name__ == '__main__':
  absltest.main()

"""Marks the tests that take long; `make unit` leaves them out.

They start processes of ours or send requests by the thousand.
"""

import pytest

_INTEGRATION = frozenset((
    'actor_faults_test', 'costs_test', 'fuzz_test', 'hosts_test',
    'illustrative_test', 'integration_test', 'learner_main_test',
    'lockstep_test', 'quiet_tensorflow_test', 'ray_launcher_test',
    'strategies_test', 'training_test'))


def pytest_collection_modifyitems(items):
  """Called by pytest with all tests that were found."""
  for item in items:
    if item.path.stem in _INTEGRATION:
      item.add_marker(pytest.mark.integration)

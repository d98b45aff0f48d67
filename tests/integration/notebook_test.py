"""The notebook runs, and shows what its text says."""

import json

from absl.testing import absltest
import pytest

from tests.repository import sources

nbclient = pytest.importorskip('nbclient')
nbformat = pytest.importorskip('nbformat')

pytestmark = pytest.mark.integration

_PATH = sources.ROOT / 'docs' / 'notebooks' / 'tuning.ipynb'
_FINDINGS = """
final = {name: curves.discount[-1].tolist() for name, curves in chain.items()}
with open(OUT / 'figure1' / 'final_values.csv', newline='') as file:
  figure1 = list(csv.DictReader(file))
print(json.dumps({'chain': final, 'catch': discounts, 'figure1': figure1}))
"""


def _outputs(notebook) -> list[list]:
  """What each cell that shows something did."""
  cells = (cell.get('outputs') for cell in notebook.cells)
  return [outputs for outputs in cells if outputs]


def _findings():
  """Runs the notebook; the numbers behind its figures."""
  notebook = nbformat.read(_PATH, as_version=4)
  notebook.cells.append(nbformat.v4.new_code_cell(_FINDINGS))
  nbclient.NotebookClient(
    notebook, timeout=100, resources={'metadata': {'path': sources.ROOT}}
  ).execute()
  (printed,) = notebook.cells[-1].outputs
  return json.loads(printed.text)


class NotebookTest(absltest.TestCase):
  @pytest.mark.timeout(300)  # 40 s where nothing else runs.
  def test_runs_and_learned_values_go_where_it_says(self):
    found = _findings()
    # Bounds of the chain's discount are .9 and 1; it starts at .95.
    self.assertLess(max(found['chain']['mg']), 0.91)
    self.assertGreater(min(found['chain']['mg_outer_critic']), 0.99)
    self.assertGreater(found['catch'][-1], found['catch'][0] + 0.1)
    values = {
      kind: [
        float(row['value']) for row in found['figure1'] if row['kind'] == kind
      ]
      for kind in ('signal', 'noise')
    }
    self.assertGreater(min(values['signal']), max(values['noise']))

  def test_committed_outputs_are_text_and_a_figure_each(self):
    shown = _outputs(nbformat.read(_PATH, as_version=4))
    self.assertLen(shown, 3)
    for outputs in shown:
      text, figure = outputs
      self.assertEqual(text.output_type, 'stream')
      self.assertIn('image/png', figure.data)


if __name__ == '__main__':
  absltest.main()

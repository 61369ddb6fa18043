"""The page in a browser: nothing is wider than a phone, and the script sorts."""

import shutil
import subprocess

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason='Chromium is not installed'),
]
QUIET = [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
]  # fmt: skip
PROBE = """<script>
addEventListener('load', () => {
  const table = [...document.querySelectorAll('table.sortable')].find((t) => t.tHead.textContent.includes('pixels, %'));
  const column = 2, button = table.tHead.rows[table.tHead.rows.length - 1].cells[column].querySelector('button');
  const values = () => [...table.tBodies[0].rows].map((row) => Number(row.cells[column].dataset.v));
  button.click(); const rising = values(); button.click(); const falling = values();
  const sorted = [...rising].sort((a, b) => a - b);
  document.title = [
    'width', document.documentElement.scrollWidth <= innerWidth,
    'rising', String(rising) === String(sorted), 'falling', String(falling) === String(sorted.reverse()),
    'filter', !document.querySelector('.filter').hidden,
  ].join(' ');
});
</script>"""


@pytest.mark.parametrize('width', [1280, 500])
def test_nothing_overflows_and_tables_sort(streets, audit, tmp_path, width):
    arguments = ['--images', streets / 'images', '--targets', streets / 'labels', '--preds', streets / 'coarse']
    assert audit(streets / 'coarse.csv', *arguments)[0] == 0
    text = (tmp_path / 'audit.html').read_text(encoding='utf-8')
    policy = text[text.index('<meta http-equiv') : text.index('>', text.index('<meta http-equiv')) + 1]
    (tmp_path / 'probed.html').write_text(
        text.replace(policy, '').replace('</body>', PROBE + '</body>'), encoding='utf-8'
    )
    done = subprocess.run(
        [CHROMIUM, *QUIET, f'--user-data-dir={tmp_path / "profile"}', f'--window-size={width},900', '--dump-dom',
         (tmp_path / 'probed.html').as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip
    assert '<title>width true rising true falling true filter true</title>' in done.stdout, done.stderr[-2000:]


def test_the_pages_own_script_passes_its_policy(streets, audit, tmp_path):
    assert audit(streets / 'coarse.csv')[0] == 0
    done = subprocess.run(
        [CHROMIUM, *QUIET, f'--user-data-dir={tmp_path / "profile"}', '--dump-dom', (tmp_path / 'audit.html').as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert '<button type="button">images</button>' in done.stdout

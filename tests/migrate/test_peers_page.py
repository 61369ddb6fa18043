"""docs/peers.md is what its command writes."""

from pathlib import Path

from segparity.migrate.peers import page
from segparity.migrate.peers.rows import ROWS
from shared_spec import LOSSES

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_up_to_date():
    assert page.page() == (ROOT / 'docs' / 'peers.md').read_text(encoding='utf-8')


def test_every_name_stands_on_the_page():
    text = (ROOT / 'docs' / 'peers.md').read_text(encoding='utf-8')
    for rows in ROWS.values():
        for row in rows:
            assert f'`{row.name}' in text


def test_a_spec_in_one_line():
    assert page.brief(LOSSES['SoftDiceLoss'](norm=2, smooth=0.5)) == 'SoftDiceLoss(smooth=0.5, norm=2)'
    whole = LOSSES['WeightedSumLoss'](losses=[LOSSES['SoftDiceLoss'](), LOSSES['SoftJaccardLoss']()], weights=[1, 2])
    assert page.brief(whole) == '1 * SoftDiceLoss() + 2 * SoftJaccardLoss()'


def test_figures():
    assert [page.figure(x) for x in (0.0, 2.34e-9, 0.0312, 59.0)] == ['0', '2.3e-09', '0.031', '59']

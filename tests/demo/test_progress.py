"""The record of a training: it survives kills and goes on where the checkpoint is."""

from segparity.demo.child import Progress, read_progress


def test_lines_come_back_in_order(tmp_path):
    progress = Progress(tmp_path / 'p.jsonl', done=0)
    progress.step(0, loss=2.0)
    progress.step(1, loss=1.0)
    progress.validation(2, mIoUD=0.5)
    steps, validations = read_progress(tmp_path / 'p.jsonl')
    assert [line['loss'] for line in steps] == [2.0, 1.0]
    assert validations == [{'val': 2, 'mIoUD': 0.5}]


def test_no_file_is_no_progress(tmp_path):
    assert read_progress(tmp_path / 'none.jsonl') == ([], [])


def test_a_line_cut_off_by_a_kill_is_skipped(tmp_path):
    (tmp_path / 'p.jsonl').write_text('{"step": 0, "loss": 1.0, "seconds": 1}\n{"step": 1, "lo')
    assert [line['step'] for line in read_progress(tmp_path / 'p.jsonl')[0]] == [0]


def test_resuming_drops_what_lies_beyond_the_checkpoint(tmp_path):
    first = Progress(tmp_path / 'p.jsonl', done=0)
    for step in range(7):
        first.step(step, loss=float(step))
    first.validation(2, mIoUD=0.2)
    first.validation(6, mIoUD=0.6)
    second = Progress(tmp_path / 'p.jsonl', done=4)
    second.step(4, loss=40.0)
    steps, validations = read_progress(tmp_path / 'p.jsonl')
    assert [line['loss'] for line in steps] == [0, 1, 2, 3, 40]
    assert [line['val'] for line in validations] == [2]

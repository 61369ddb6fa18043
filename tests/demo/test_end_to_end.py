"""The demo as a user runs it, in processes: from nothing to the page, killed, interrupted, damaged, started again."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

for module in ('sklearn', 'PIL', 'matplotlib', 'jinja2'):
    pytest.importorskip(module)

from segparity.demo import dataset, network
from segparity.demo.child import read_progress
from segparity.demo.settings import MARKER, Settings, read_json, write_json
from segparity.demo.worlds import keras_world, mmseg_world

pytestmark = pytest.mark.slow
LONG = Settings(train_scenes=12, val_scenes=5, base_channels=4, iterations=300, batch=3, val_every=20)
WORLDS = {'mmseg': mmseg_world(), 'keras': keras_world()}


def need(*names):
    for name in names:
        if WORLDS[name].missing:
            pytest.skip(WORLDS[name].sentence)


def demo(out, *words):
    command = [sys.executable, '-m', 'segparity.cli', 'demo', '--out', str(out), '--iterations', '10', *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finished(process, code=0):
    text, _ = process.communicate(timeout=300)
    assert process.returncode == code, text
    return text


def wait_for(condition, process, seconds=180):
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None or time.monotonic() > end:
            pytest.fail(f'the process ended or took too long (exit code {process.poll()})')
        time.sleep(0.05)


def children_in(out):
    """The demo's processes that work on a folder."""
    found = []
    for entry in os.listdir('/proc'):
        if entry.isdigit():
            try:
                with open(f'/proc/{entry}/cmdline') as file:
                    words = file.read().split('\0')
            except OSError:
                continue
            if str(out) in words and any(word.startswith('segparity.demo.') for word in words):
                found.append(int(entry))
    return found


def test_from_nothing_to_the_page_and_again(tmp_path):
    need('mmseg', 'keras')
    out = tmp_path / 'out'
    text = finished(demo(out))
    found = json.loads((out / 'results.json').read_text())
    assert found['agree'] and found['drift'][0]['difference'] <= 1e-5
    assert set(found['worlds']) == {'mmseg', 'keras'} and 'DIFFERS' not in text
    assert '<svg' in (out / 'index.html').read_text()

    text = finished(demo(out))
    assert text.count('trained already') == 2 and 'kept from an earlier run' in text
    again = json.loads((out / 'results.json').read_text())
    assert again['worlds'] == found['worlds']


@pytest.mark.parametrize('name', WORLDS)
def test_one_world_alone(tmp_path, name):
    need(name)
    text = finished(demo(tmp_path / 'out', '--worlds', name))
    found = json.loads((tmp_path / 'out' / 'results.json').read_text())
    assert list(found['worlds']) == [name] and found['agree'] and 'was left out' in text


@pytest.mark.skipif(not os.path.isdir('/proc/self'), reason='finds the trainers in /proc')
@pytest.mark.parametrize('how', [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=['kill', 'terminate', 'interrupt'])
def test_an_ended_demo_leaves_nobody_behind_and_goes_on(tmp_path, how):
    out = tmp_path / 'out'
    process = demo(out)
    wait_for(lambda: children_in(out), process)
    time.sleep(2)  # somewhere in the start of the trainers
    process.send_signal(how)
    text, _ = process.communicate(timeout=60)
    if how is signal.SIGINT:
        assert process.returncode == 130 and 'Interrupted; the same command goes on from here.' in text
        assert 'Traceback' not in text
    end = time.monotonic() + 10
    while children_in(out) and time.monotonic() < end:
        time.sleep(0.1)
    assert children_in(out) == []
    finished(demo(out))


@pytest.mark.parametrize('moment', ['data', 'data.part'])
def test_a_demo_killed_while_it_writes_the_data_goes_on(tmp_path, moment):
    out = tmp_path / 'out'
    process = demo(out)
    wait_for((out / moment).exists, process)
    process.kill()
    process.communicate(timeout=60)
    finished(demo(out))


def trainer(name, out):
    env = {**os.environ, 'KERAS_BACKEND': WORLDS['keras'].backend, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}
    command = [sys.executable, '-m', f'segparity.demo.train_{name}', '--out', str(out)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture
def long_run(tmp_path):
    write_json(tmp_path / MARKER, {'settings': LONG.to_dict()})
    dataset.write_data(tmp_path, LONG)
    network.write_plan(tmp_path, LONG)
    return tmp_path


def steps_of(out, name):
    return read_progress(out / name / 'progress.jsonl')[0]


def checkpoints(out, name):
    return sorted((out / name).rglob('iter_*.pth')) or sorted((out / name).rglob('last.weights.h5'))


@pytest.mark.parametrize('name', WORLDS)
def test_a_killed_training_resumes_and_a_damaged_checkpoint_starts_clean(long_run, name):
    need(name)
    out = long_run
    process = trainer(name, out)
    wait_for(lambda: len(steps_of(out, name)) > 50, process)
    process.kill()
    process.communicate(timeout=60)
    before = steps_of(out, name)
    assert checkpoints(out, name) and not (out / name / 'result.json').exists()
    damaged = out.with_name(f'{out.name}_damaged')
    shutil.copytree(out, damaged)

    finished(trainer(name, out))
    after, validations = read_progress(out / name / 'progress.jsonl')
    assert [line['step'] for line in after] == list(range(LONG.iterations))
    assert [line['loss'] for line in after[:40]] == [line['loss'] for line in before[:40]]  # kept, not trained again
    assert [line['seconds'] for line in after[:40]] == [line['seconds'] for line in before[:40]]
    assert validations[-1]['val'] == LONG.iterations
    assert set(read_json(out / name / 'result.json')) == {'metrics', 'seconds', 'parameters'}

    for path in checkpoints(damaged, name):
        path.write_bytes(path.read_bytes()[:5000])
    text = finished(trainer(name, damaged))
    assert 'cannot be loaded' in text
    again = steps_of(damaged, name)
    assert [line['step'] for line in again] == list(range(LONG.iterations))
    assert [line['seconds'] for line in again[:40]] != [line['seconds'] for line in before[:40]]
    assert abs(again[0]['loss'] - before[0]['loss']) <= 1e-6


@pytest.mark.parametrize('name', WORLDS)
def test_a_training_killed_after_its_last_step_finishes(long_run, name):
    need(name)
    out = long_run
    finished(trainer(name, out))
    metrics = read_json(out / name / 'result.json')['metrics']
    for path in ('result.json', 'val_logits.npy'):
        (out / name / path).unlink()
    finished(trainer(name, out))
    assert read_json(out / name / 'result.json')['metrics'] == pytest.approx(metrics, abs=1e-6)


def test_a_failing_trainer_is_shown_with_its_log(tmp_path):
    """A training that cannot start says why: last lines, log file, exit code 1."""
    need('keras')
    out = tmp_path / 'out'
    finished(demo(out, '--worlds', 'keras'))
    clean = read_json(out / 'keras' / 'state.json')
    write_json(out / 'keras' / 'state.json', {'fingerprint': clean['fingerprint']})
    (out / 'keras' / 'val_logits.npy').unlink()
    (out / 'keras' / 'val_logits.npy').mkdir()
    text = finished(demo(out, '--worlds', 'keras'), code=1)
    assert 'IsADirectoryError' in text and str(out / 'keras' / 'log.txt') in text.replace('\n', '')


def test_the_config_trains_as_it_stands(written, tmp_path):
    """A copy of the config with a data root: what a user starts from."""
    need('mmseg')
    code = (
        'import sys, mmseg_plugin\n'
        'from mmengine.config import Config\n'
        'from mmengine.runner import Runner\n'
        'from segparity.demo.settings import config_path\n'
        'cfg = Config.fromfile(config_path())\n'
        'root, work = sys.argv[1:]\n'
        "options = {f'{name}_dataloader.dataset.data_root': root for name in ('train', 'val', 'test')}\n"
        "cfg.merge_from_dict({**options, 'work_dir': work, 'train_cfg.max_iters': 4, 'train_cfg.val_interval': 2})\n"
        'Runner.from_cfg(cfg).train()\n'
    )
    command = [sys.executable, '-c', code, str(written / 'data'), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'mIoUC5' in done.stdout + done.stderr

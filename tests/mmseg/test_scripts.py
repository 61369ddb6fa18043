"""MMSegmentation's own scripts as they are, and the launcher that starts them after the repairs."""

import importlib.util
import json
import re
import shutil
from pathlib import Path

import mmseg
import pytest
import torch
from mmengine.config import Config
from PIL import Image

import mmseg_plugin
from mmseg_plugin.__main__ import main, tools
from tests.mmseg.tiny_training import config, dataloader, logged

TOOLS = Path(mmseg.__file__).parent / '.mim' / 'tools'
DRIVER = Path(__file__).with_name('host_scripts.py')
ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / 'docs' / 'mmsegmentation.md'
FRAGMENTS = ROOT / 'configs' / '_base_' / 'losses'
BASES = "__import__('mmseg_plugin').bases({})"  # for a script that repairs nothing, whatever the setuptools
PLAIN = '[{}]'
pytestmark = [
    pytest.mark.skipif(not TOOLS.is_dir(), reason='this MMSegmentation came without its tools'),
    pytest.mark.xdist_group('scripts'),  # they run once
]


def tiny_config(pictures, folder, form, **changes):
    """A config file of the plugin's and MMSegmentation's base files, with an evaluator and hooks that watch it."""
    made = config(
        pictures,
        folder / 'work',
        None,
        iterations=3,
        **dict(
            val_dataloader=dataloader(pictures, 1, endless=False),
            val_cfg=dict(type='ValLoop'),
            val_evaluator=dict(type='FineGrainedMetric', ignore_index=255),
            test_dataloader=dataloader(pictures, 1, endless=False),
            test_cfg=dict(type='TestLoop'),
            test_evaluator=dict(type='FineGrainedMetric', ignore_index=255),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=3, val_interval=3),
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
                visualization=dict(type='SegVisualizationHook', interval=1),
                checkpoint=dict(type='CheckpointHook', interval=3, by_epoch=False, save_best=['mIoU', 'FWIoU']),
            ),
            custom_hooks=[dict(type='EarlyStoppingHook', monitor='FWIoU')],
            log_level='INFO',
            **changes,
        ),
    )
    del made['custom_imports']
    files = "'segparity::_base_/losses/jaccard_metric.py', 'mmseg::_base_/default_runtime.py'"
    text = '\n'.join(f'{key} = {value!r}' for key, value in made.items())
    loss = "model['decode_head']['loss_decode'] = {{_base_.loss_decode}}"
    (folder / 'tiny.py').write_text(f'_base_ = {form.format(files)}\n{text}\n{loss}\n')
    return str(folder / 'tiny.py')


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """A folder with the plugin as a wheel lays it out: the configs are inside the package, no checkout is near."""
    site = tmp_path_factory.mktemp('site')
    for package in ('mmseg_plugin', 'shared_spec'):
        shutil.copytree(ROOT / package, site / package, ignore=shutil.ignore_patterns('__pycache__'))
    shutil.copytree(ROOT / 'configs', site / 'segparity' / 'configs', ignore=shutil.ignore_patterns('__pycache__'))
    return site


@pytest.fixture(scope='module')
def scripts(pictures, tmp_path_factory, python, installed):
    """The folder of a training, its test with predictions written, and its resumption, all in MMSegmentation's scripts."""
    folder = tmp_path_factory.mktemp('scripts')
    file = tiny_config(pictures, folder, BASES)
    train, test = (str(TOOLS / f'{name}.py') for name in ('train', 'test'))
    # by no --cfg-options, from whose values MMEngine takes the spaces
    longer = ['--work-dir', str(folder / 'work'), '--cfg-options', 'train_cfg.max_iters=6']
    checkpoint, written, shown = (str(folder / name) for name in ('work/iter_3.pth', 'out', 'shown'))
    commands = [
        [train, file],
        [test, file, checkpoint, '--out', written, '--work-dir', str(folder / 't'), '--show-dir', shown],
        [train, file, '--resume', *longer],
    ]
    (folder / 'printed').write_text(python(DRIVER, json.dumps(commands), path=installed))
    return folder


def test_train_py_as_it_is(scripts):
    assert torch.load(scripts / 'work' / 'iter_3.pth', weights_only=True)['state_dict']
    assert len(list((scripts / 'work').glob('best_mIoU_iter_*.pth'))) == 1
    assert len(list((scripts / 'work').glob('best_FWIoU_iter_*.pth'))) == 1


@pytest.mark.slow
def test_resume_goes_on(scripts):
    rows = [json.loads(row) for f in (scripts / 'work').glob('*/vis_data/scalars.json') for row in f.open()]
    assert sorted(row['iter'] for row in rows if 'loss' in row) == [1, 2, 3, 4, 5, 6]
    assert (scripts / 'work' / 'iter_6.pth').is_file()


@pytest.mark.slow
def test_test_py_writes_its_predictions(scripts, pictures):
    written = sorted(path.name for path in (scripts / 'out').iterdir())
    assert written == [f'{i}.png' for i in range(8)]
    assert Image.open(scripts / 'out' / '0.png').size == (32, 32)
    assert list(scripts.rglob('vis_image/*'))  # in one process MMEngine keeps its first visualizer, and its folder
    (found,) = (scripts / 't').glob('*/*.json')
    results = json.loads(found.read_text())
    assert results['mIoU'] == results['mIoUD'] and results['mAcc'] == results['mAccD']


@pytest.mark.slow
def test_the_log_has_one_titled_table_of_results(scripts):
    printed = (scripts / 'printed').read_text()
    assert printed.count('FineGrainedMetric: results, in per cent') == 3  # train, test, resume


@pytest.mark.slow
def test_the_launcher_prints_a_config_that_names_our_base_files(pictures, tmp_path, python, installed):
    """print_config.py imports the models, which mmcv-lite cannot do unrepaired, and its config has a plain list."""
    file = tiny_config(pictures, tmp_path, PLAIN)
    command = ('-m', 'mmseg_plugin', 'print_config', file, '--cfg-options', 'log_level=ERROR')
    printed = python(*command, cwd=tmp_path, path=installed)
    assert "type='JaccardMetricLoss'" in printed and "log_level = 'ERROR'" in printed
    assert Config.fromfile(tmp_path / 'example.py').vis_backends[0].type == 'LocalVisBackend'  # mmseg:: was found


class TestLauncher:
    def test_a_name_is_one_of_the_tools_folder(self):
        found = tools()
        assert {path.stem for path in TOOLS.rglob('*.py')} <= set(found)
        assert found['train'] == TOOLS / 'train.py' == found['test'].with_name('train.py')
        assert found['browse_dataset'] == found['analysis_tools/browse_dataset']
        assert found['misc/browse_dataset'].parent.name == 'misc'

    def test_an_unknown_name_is_one_sentence_with_those_that_exist(self, capsys):
        assert main(['trian', '--amp']) == 2
        printed = capsys.readouterr()
        assert printed.out == '' and printed.err.count('\n') == 1
        assert printed.err.startswith("python -m mmseg_plugin: unknown script 'trian', did you mean 'train'? ")
        assert 'MMSegmentation has analyze_logs, ' in printed.err and ', test, ' in printed.err

    def test_without_a_name(self, capsys):
        assert main([]) == 2
        assert 'the name of a script is missing, MMSegmentation has analyze_logs' in capsys.readouterr().err
        assert main(['--help']) == 0
        assert 'train' in capsys.readouterr().out

    def test_arguments_and_exit_code_are_those_of_the_script(self, tmp_path, monkeypatch, capsys):
        (tmp_path / 'train.py').write_text('import sys\nprint(__name__, sys.argv[1:], sys.path[0])\nsys.exit(7)\n')
        monkeypatch.setattr('sys.argv', ['x'])
        monkeypatch.setattr('sys.path', ['here'])
        with pytest.raises(SystemExit) as ended:
            main([str(tmp_path / 'train.py'), '--a', "b='c d'", '--help'])
        assert ended.value.code == 7
        assert capsys.readouterr().out == f'__main__ {["--a", "b=" + repr("c d"), "--help"]} {tmp_path}\n'


def test_a_base_file_that_is_not_there_names_the_nearest(tmp_path):
    (tmp_path / 'mine.py').write_text("_base_ = ['segparity::_base_/losses/soft_dise.py']\n")
    with pytest.raises(
        FileNotFoundError, match='segparity has no config .*mean .segparity::_base_/losses/soft_dice.py'
    ):
        Config.fromfile(tmp_path / 'mine.py')


def test_bases_are_the_files_that_it_is_given():
    assert mmseg_plugin.bases('a', 'b') == ['a', 'b']


def page_blocks():
    """The configs of the page that MMSegmentation can build without another package."""
    blocks = re.findall(r'^```python\n(_base_.*?)^```$', PAGE.read_text(encoding='utf-8'), re.DOTALL | re.MULTILINE)
    return [block for block in blocks if 'mmpretrain' not in block]


def on_tiny_data(block, pictures, folder):
    """A config of the page with small widths, without a download and on the tiny data set."""
    made = config(pictures, folder / 'work', None, iterations=2)
    for key in ('custom_imports', 'model', 'optim_wrapper'):
        del made[key]
    if 'num_classes=2' in block:
        made['train_dataloader']['dataset']['metainfo'] = dict(classes=('ground', 'box'))
        made['train_dataloader']['dataset']['reduce_zero_label'] = True
    size = dict(type='SegDataPreProcessor', size=(32, 32), mean=[90.0] * 3, std=[50.0] * 3, seg_pad_val=255)
    widths = dict(decode_head=512, auxiliary_head=256)
    heads = {name: dict(in_channels=width, channels=8) for name, width in widths.items()}
    made['model'] = dict(pretrained=None, backbone=dict(depth=18), data_preprocessor=size, **heads)
    if 'optim_wrapper' not in block:
        made['optim_wrapper'] = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
    lines = '\n'.join(f'{key} = {value!r}' for key, value in made.items())
    folder.mkdir()
    (folder / 'page.py').write_text(block)
    (folder / 'mine.py').write_text(f"_base_ = ['page.py']\n{lines}\n")
    return str(folder / 'mine.py')


def losses_of(folder):
    return set(torch.load(folder / 'work' / 'iter_2.pth', weights_only=True)['message_hub']['log_scalars'])


@pytest.mark.slow
def test_the_configs_of_the_page_train(pictures, tmp_path, python):
    """In one fresh process, the first of them with nothing repaired yet."""
    files = [on_tiny_data(block, pictures, tmp_path / str(i)) for i, block in enumerate(page_blocks())]
    extra = ['--cfg-options', 'default_hooks.checkpoint.interval=2']
    python(DRIVER, json.dumps([[str(TOOLS / 'train.py'), file, *extra] for file in files]))
    found = [losses_of(tmp_path / str(i)) for i in range(len(files))]
    for losses, name in zip(found, ('focal_tversky', 'lovasz_hinge', 'robust_t')):
        assert {f'train/decode.loss_{name}', f'train/aux.loss_{name}'} <= losses
    assert len(found) == 3 and 'train/aux.loss_weighted_cross_entropy' in found[0]


@pytest.mark.slow
def test_a_plain_list_of_files_trains_with_the_setuptools_of_the_extra(pictures, tmp_path, python):
    """Through the launcher where that is another, in which MMEngine misses pkg_resources."""
    files = f"'{FRAGMENTS.as_posix()}/focal_tversky.py', 'mmseg::_base_/models/fcn_r50-d8.py'"
    block = re.sub(r'^_base_ = .*?^\)', f'_base_ = [{files}]', page_blocks()[0], flags=re.DOTALL | re.MULTILINE)
    file = on_tiny_data(block, pictures, tmp_path / 'plain')
    repaired = importlib.util.find_spec('pkg_resources') is None
    start = ('-m', 'mmseg_plugin', 'train') if repaired else (TOOLS / 'train.py',)
    python(*start, file, '--cfg-options', 'default_hooks.checkpoint.interval=2')
    assert 'train/decode.loss_focal_tversky' in losses_of(tmp_path / 'plain')


@pytest.mark.slow
def test_the_launcher_starts_the_processes_of_torchrun(pictures, tmp_path, python):
    file = tiny_config(
        pictures,
        tmp_path,
        PLAIN,
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None),
    )
    launch = ('-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2', '-m', 'mmseg_plugin')
    python(*launch, 'train', file, '--launcher', 'pytorch')
    assert list(logged(tmp_path / 'work')) == [1, 2, 3]


@pytest.mark.slow
def test_the_launcher_browses_a_data_set(pictures, tmp_path, python):
    file = tiny_config(pictures, tmp_path, PLAIN)
    python('-m', 'mmseg_plugin', 'browse_dataset', file, '--not-show', '--output-dir', tmp_path / 'seen')
    assert len(list((tmp_path / 'seen').iterdir())) == 8

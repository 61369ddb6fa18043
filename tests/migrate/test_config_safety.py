"""Nothing of a configuration is executed, and no file is opened that it has no business with."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from segparity.migrate.reading import folders
from segparity.migrate.reading.mmseg_config import read_mmseg_config
from tests.support.ending import must_end

ROOT = Path(__file__).resolve().parents[2]
HEAD = "model = dict(decode_head=dict(type='FCNHead', num_classes=3, loss_decode=dict(type='CrossEntropyLoss')))\n"


@pytest.fixture
def project(tmp_path):
    """A project with a configuration folder, and beside it a file that is none of its business."""
    (tmp_path / 'secret.py').write_text(
        "model = dict(decode_head=dict(type='SecretHead'))\nval_evaluator = dict(type='Secret')\n"
    )
    folder = tmp_path / 'project'
    (folder / 'configs' / 'fields').mkdir(parents=True)
    (folder / 'configs' / 'base.py').write_text(HEAD)
    return folder


def read(project, text, name='one.py'):
    path = project / 'configs' / 'fields' / name
    path.write_text(text)
    return read_mmseg_config(str(path))


def reasons(source):
    return [part.reason for part in source.unread]


def test_bases_of_the_project_are_read(project):
    source = read(project, "_base_ = '../base.py'\n")
    assert source.outputs[0].losses and not source.unread


ESCAPES = {
    'up': "_base_ = '../../../secret.py'\n",
    'list': "_base_ = ['../base.py', '../../../secret.py']\n",
    'computed': "_base_ = '../' * 3 + 'secret.py'\n",
    'with': 'from mmengine.config import read_base\nwith read_base():\n    from ....secret import *\n',
    'json': '{"_base_": "../../../secret.py"}',
}


@pytest.mark.parametrize('text', ESCAPES.values(), ids=ESCAPES)
def test_a_base_outside_of_the_project_is_named_and_not_read(project, text):
    name = 'one.json' if text.startswith('{') else 'one.py'
    source = read(project, text, name)
    told = [part for part in source.unread if 'outside of its project' in part.reason]
    assert told and told[0].place.file.endswith(name) and (told[0].place.line >= 1 or name == 'one.json')
    assert 'Secret' not in str(source.outputs) + str(source.metrics)
    assert not any('secret' in path for path in source.files)


def test_an_absolute_path_and_a_link_are_followed_before_they_are_judged(project):
    secret = project.parent / 'secret.py'
    (project / 'configs' / 'link.py').symlink_to(secret)
    (project / 'configs' / 'door').symlink_to(project.parent)
    for name in (str(secret), '../link.py', '../door/secret.py'):
        assert 'outside of its project' in reasons(read(project, f'_base_ = {name!r}\n'))[0]
    assert 'outside' not in reasons(read(project, "_base_ = '../missing.py'\n"))[0]


def test_folders_that_the_user_names_are_read_too(project):
    (project / 'configs' / 'fields' / 'one.py').write_text("_base_ = '../../../secret.py'\n")
    path = str(project / 'configs' / 'fields' / 'one.py')
    source = read_mmseg_config(path, folders=[str(project.parent)])
    assert [item.name for item, _ in source.metrics] == ['Secret'] and not reasons(source)[1:]


OTHER = {
    'mmseg up': ("_base_ = 'mmseg::../../version.py'\n", ('outside of its project', 'not installed')),
    'mmseg far': ("_base_ = 'mmseg::../../../../../../secret.py'\n", ('outside of its project', 'not installed')),
    'mmseg missing': ("_base_ = 'mmseg::fcn/none.py'\n", ('No such file', 'not installed')),
    'mmdet': ("_base_ = 'mmdet::_base_/models/x.py'\n", ('only the configs of mmseg are read',)),
    'number': ('_base_ = 3\n', ('no path',)),
    'null': ("_base_ = 'a\\0b.py'\n", ('no path',)),
    'other kind': ("_base_ = './one.txt'\n", ('no configuration by its name',)),
    'itself': ("_base_ = './one.py'\n", ('stands on it',)),
    'folder': ("_base_ = '../fields.py/..'\n", ('no configuration by its name',)),
    'call': ("_base_ = open('x').read()\n", ('the name of a base', 'no path')),
    'environment': ("_base_ = '{{$BASE:../base.py}}'\n", ('environment variable BASE',)),
    'unknown module': (
        'from mmengine.config import read_base\nwith read_base():\n    from mmdet.configs.x import *\n',
        ('No such file',),
    ),
}


@pytest.mark.parametrize('text, said', OTHER.values(), ids=OTHER)
def test_bases_that_are_not_read_are_named(project, text, said):
    source = read(project, text)
    assert any(part in reason for part in said for reason in reasons(source)), reasons(source)
    assert not source.outputs


def test_a_cycle_of_two_and_a_long_chain_end(project):
    folder = project / 'configs' / 'fields'
    (folder / 'two.py').write_text("_base_ = './one.py'\n")
    assert 'which stands on it' in reasons(read(project, "_base_ = './two.py'\n"))[0]
    for number in range(40):
        (folder / f'chain{number}.py').write_text(f"_base_ = './chain{number + 1}.py'\n")
    assert 'too many bases' in reasons(read(project, "_base_ = './chain0.py'\n"))[0]


def test_bases_that_double_are_read_no_further_than_the_limit(project):
    folder = project / 'configs' / 'fields'
    for number in range(14):
        following = f"'./double{number + 1}.py'"
        (folder / f'double{number}.py').write_text(f'_base_ = [{following}, {following}]\na{number} = 1\n')
    (folder / 'double14.py').write_text(HEAD)
    with must_end():
        source = read(project, "_base_ = './double0.py'\n")
    assert len(source.files) <= 80
    assert any('too many bases' in reason for reason in reasons(source))


def test_special_and_huge_files(project):
    folder = project / 'configs' / 'fields'
    os.mkfifo(folder / 'pipe.py')
    (folder / 'folder.py').mkdir()
    (folder / 'huge.py').write_text('#' * 3_000_000)
    (folder / 'deep.py').write_text('x = ' + '(' * 150 + '1' + ')' * 150)
    (folder / 'deep.json').write_text('{"a":' * 100_000)
    (folder / 'nul.py').write_bytes(b'x = 1\0')
    (folder / 'latin.py').write_bytes(b'# \xe9\nx = 1\n')
    for name in ('pipe.py', 'folder.py', 'huge.py', 'deep.json', 'nul.py', 'latin.py'):
        with pytest.raises((ValueError, OSError)) as caught:
            read_mmseg_config(str(folder / name))
        assert '\n' not in str(caught.value)
        assert len(reasons(read(project, f'_base_ = "./{name}"\n'))) == 1
    assert read_mmseg_config(str(folder / 'deep.py')).outputs == []
    with pytest.raises(ValueError, match='expected a name that ends in'):
        read_mmseg_config(str(folder / 'config.txt'))
    with pytest.raises(FileNotFoundError):
        read_mmseg_config(str(folder / 'none.py'))


def test_yaml_that_grows_is_refused(project):
    pytest.importorskip('yaml')
    lines = ['a0: &a0 [1, 1]'] + [f'a{i}: &a{i} [*a{i - 1}, *a{i - 1}]' for i in range(1, 40)]
    for text in ('\n'.join(lines), 'a: &a {b: 1}\nc: {<<: *a}\n', '[' * 5000, 'a: !!python/object/apply:os.system [x]'):
        with must_end(), pytest.raises(ValueError):
            read(project, text, 'one.yaml')


def test_json_and_yaml_say_what_is_wrong(project):
    pytest.importorskip('yaml')
    for name in ('one.json', 'one.yaml'):
        with pytest.raises(ValueError, match='holds no mapping'):
            read(project, '[1]', name)
        with pytest.raises(ValueError, match='can be read'):
            read(project, '{"a": [', name)


def test_nothing_is_executed_imported_or_opened(project):
    """In a process that is watched from its first line on."""
    source = (
        "import os, subprocess, sys\nfrom evil import *\nopen('written.txt', 'w').write('x')\nos.system('touch run.txt')\n"
        "exec('import socket')\n__import__('antigravity')\nx = [open(p) for p in ['a']]\n"
        "class A:\n    y = open('b')\ndef f(z=open('c')):\n    return eval('1')\nf()\n" + HEAD
    )
    path = project / 'configs' / 'fields' / 'one.py'
    path.write_text(source)
    (project / 'configs' / 'fields' / 'evil.py').write_text("open('evil.txt', 'w')\n")
    code = (
        'import sys, codecs, unicodedata\n'
        'from segparity.migrate.reading.mmseg_config import read_mmseg_config\n'
        'from segparity.migrate.reading.mmseg_items import our_names\nour_names()\n'
        'events = []\n'
        "watched = ('exec', 'import', 'os.system', 'subprocess.Popen', 'socket.connect')\n"
        'armed = []\n'
        "hook = lambda event, a: armed and (event in watched or event == 'open') and events.append((event, str(a[0])))\n"
        'sys.addaudithook(hook)\narmed.append(1)\n'
        f'source = read_mmseg_config({str(path)!r})\narmed.clear()\n'
        f'assert source.outputs[0].losses\nprint([e for e in events if e != ("open", {str(path)!r})])\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, cwd=project / 'configs' / 'fields',
        env={**os.environ, 'PYTHONPATH': str(ROOT)}, timeout=60,
    )  # fmt: skip
    assert done.stdout.strip() == '[]', done.stdout + done.stderr
    assert sorted(path.name for path in (project / 'configs' / 'fields').iterdir()) == ['evil.py', 'one.py']


def test_calls_that_may_change_the_configuration_are_named(project):
    source = read(
        project,
        f"from tools import patch\n{HEAD}patch(model)\nprint(model)\ny = patch(dict(a=1))\nglobals()['model'] = 1\n",
    )
    assert [(part.place.line, part.text) for part in source.unread if part.text] == [
        (1, ''), (3, 'patch(model)'), (6, 'globals()'),
    ][1:]  # fmt: skip


# Which folder the project is


def test_the_project_is_the_nearest_folder_with_a_mark(tmp_path):
    deep = tmp_path / 'a' / 'b' / 'c'
    deep.mkdir(parents=True)
    (deep / 'x.py').write_text('')
    assert folders.project_of(str(deep / 'x.py')) == str(deep)
    (tmp_path / 'a' / '_base_').mkdir()
    assert folders.project_of(str(deep / 'x.py')) == str(tmp_path / 'a')
    (tmp_path / 'setup.py').write_text('')
    assert folders.project_of(str(deep / 'x.py')) == str(tmp_path)
    (tmp_path / 'a' / 'configs').mkdir()
    assert folders.project_of(str(deep / 'x.py')) == str(tmp_path / 'a')


def test_within_is_of_folders_and_not_of_letters(tmp_path):
    (tmp_path / 'a').mkdir()
    (tmp_path / 'ab').mkdir()
    assert folders.within(str(tmp_path / 'a' / 'x.py'), [str(tmp_path / 'a')])
    assert not folders.within(str(tmp_path / 'ab' / 'x.py'), [str(tmp_path / 'a')])
    assert not folders.within(str(tmp_path / 'a' / '..' / 'x.py'), [str(tmp_path / 'a')])


# With trust


def test_trust_executes_what_cannot_be_read(project):
    pytest.importorskip('mmengine')
    text = "_base_ = '../base.py'\nimport math\nmodel = dict(decode_head=dict(loss_decode=dict(loss_weight=math.sqrt(4.0))))\n"
    source = read(project, text)
    assert reasons(source) == [
        'decode_head.loss_decode.loss_weight: what the call gives is known only when the source runs'
    ]
    trusted = read_mmseg_config(str(project / 'configs' / 'fields' / 'one.py'), trust=True)
    assert trusted.outputs[0].losses[0].arguments == {'loss_weight': 2.0} and not trusted.unread
    assert trusted.outputs[0].losses[0].place == source.outputs[0].losses[0].place
    assert any('was executed by MMEngine' in remark for remark in trusted.remarks)


def test_trust_executes_nothing_where_everything_was_read(project):
    source = read(project, "_base_ = '../base.py'\n")
    trusted = read_mmseg_config(str(project / 'configs' / 'fields' / 'one.py'), trust=True)
    assert trusted == source


def test_trust_says_what_mmengine_says(project):
    pytest.importorskip('mmengine')
    with pytest.raises(ValueError, match='MMEngine could not execute .*one.py: '):
        read(project, HEAD + 'import os\nmodel["decode_head"]["num_classes"] = os.getpid() // 0\n')
        read_mmseg_config(str(project / 'configs' / 'fields' / 'one.py'), trust=True)

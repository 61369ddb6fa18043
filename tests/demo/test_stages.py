"""What a second run may use, and which folders the demo takes for its own."""

import argparse

import pytest

pytest.importorskip('sklearn')
pytest.importorskip('PIL')

from rich.console import Console

from segparity import demo, folders
from segparity.demo import stages
from segparity.demo.settings import MARKER, DemoError, Settings, read_json, write_json


def test_work_is_new_then_resumed_then_done(tmp_path):
    folder = tmp_path / 'mmseg'
    assert stages.start_or_continue(folder, 'a') == 'new'
    (folder / 'checkpoint').write_text('half way')
    assert stages.start_or_continue(folder, 'a') == 'resumed' and (folder / 'checkpoint').exists()
    stages.finish(folder)
    assert stages.start_or_continue(folder, 'a') == 'done'


def test_other_work_starts_clean(tmp_path):
    folder = tmp_path / 'mmseg'
    stages.start_or_continue(folder, 'a')
    (folder / 'checkpoint').write_text('of other settings')
    stages.finish(folder)
    assert stages.start_or_continue(folder, 'b') == 'new' and not (folder / 'checkpoint').exists()


def test_an_unreadable_state_starts_clean(tmp_path):
    folder = tmp_path / 'mmseg'
    folder.mkdir()
    (folder / 'state.json').write_text('{"finger')
    assert stages.start_or_continue(folder, 'a') == 'new'


def test_a_new_an_empty_and_an_own_folder_are_taken(tmp_path):
    (tmp_path / 'empty').mkdir()
    for folder in (tmp_path / 'new' / 'deep', tmp_path / 'empty'):
        for _ in range(2):
            with stages.own_folder(folder, folder):
                assert (folder / MARKER).exists()


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / 'thesis.tex').write_text('mine')
    with pytest.raises(DemoError, match='holds other files'), stages.own_folder(tmp_path, tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ['thesis.tex']


def test_a_file_is_refused(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(DemoError, match='is a file'), stages.own_folder(tmp_path / 'file', 'file'):
        pass


def test_a_second_demo_in_the_same_folder_is_refused(tmp_path):
    pytest.importorskip('fcntl')
    with stages.own_folder(tmp_path, tmp_path):
        with pytest.raises(DemoError, match='in use'), stages.own_folder(tmp_path, tmp_path):
            pass
    with stages.own_folder(tmp_path, tmp_path):
        pass


def test_half_written_files_of_a_killed_run_are_removed(tmp_path):
    with stages.own_folder(tmp_path, tmp_path):
        pass
    (tmp_path / 'data.part' / 'img_dir').mkdir(parents=True)
    (tmp_path / 'results.json.7.part').write_text('')
    with stages.own_folder(tmp_path, tmp_path):
        assert not list(tmp_path.rglob('*.part'))


def test_a_kill_between_folder_and_marker_does_not_lock_the_folder(tmp_path):
    (tmp_path / folders.LOCK).write_text('')
    (tmp_path / f'{MARKER}.7.part').write_text('{')
    with stages.own_folder(tmp_path, tmp_path):
        assert read_json(tmp_path / MARKER) == {}


def test_write_json_replaces_whole_files(tmp_path):
    write_json(tmp_path / 'deep' / 'a.json', [1])
    write_json(tmp_path / 'deep' / 'a.json', [2])
    assert read_json(tmp_path / 'deep' / 'a.json') == [2] and len(list((tmp_path / 'deep').iterdir())) == 1


@pytest.mark.parametrize('asked, got, part', [(1, 10, 10), (50, 50, 50), (55, 60, 30), (70, 70, 10), (400, 400, 50)])
def test_iterations_are_rounded_up_to_tens(asked, got, part):
    settings = Settings.for_iterations(asked)
    assert (settings.iterations, settings.val_every) == (got, part)


def arguments(*words):
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    return parser.parse_args(words)


def test_the_defaults_of_the_command():
    args = arguments()
    assert str(args.out) == 'demo_out' and args.worlds == ('mmseg', 'keras') and not args.fresh and not args.iterations


@pytest.mark.parametrize(
    'words', [('--worlds', 'caffe'), ('--worlds', ','), ('--iterations', '-3'), ('--iterations', 'x')]
)
def test_wrong_arguments_are_refused(words, capsys):
    with pytest.raises(SystemExit) as caught:
        arguments(*words)
    assert caught.value.code == 2 and words[0] in capsys.readouterr().err


def run(args):
    console = Console(record=True, width=200, quiet=False, file=open('/dev/null', 'w'))
    return demo.run(args, console), console.export_text()


def test_an_interrupt_is_one_sentence_and_130(monkeypatch, tmp_path):
    monkeypatch.setattr(stages, 'prepare', lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr(stages, 'find_worlds', lambda names: [])
    code, text = run(arguments('--out', str(tmp_path / 'out')))
    assert code == 130 and text.strip() == 'Interrupted; the same command goes on from here.'


def test_a_refused_folder_is_one_sentence_and_1(monkeypatch, tmp_path):
    monkeypatch.setattr(stages, 'find_worlds', lambda names: [])
    (tmp_path / 'file').write_text('')
    code, text = run(arguments('--out', str(tmp_path / 'file')))
    assert code == 1 and 'is a file' in text and len(text.splitlines()) == 1


def test_a_missing_package_of_the_demo_is_one_sentence(monkeypatch):
    monkeypatch.setitem(demo.NEEDED, 'no_such_module', 'no-such-package')
    code, text = run(arguments())
    assert code == 1 and text.strip() == "The demo needs no-such-package: pip install 'segparity[demo]'"

"""The function that a user names, in a module or a file, and one sentence where there is none."""

import sys

import pytest

from segparity.loading import load_function

MODULE = 'tests.parity.own_losses'


def test_modules_files_and_classes(tmp_path, monkeypatch, capsys):
    assert load_function(f'{MODULE}:dice_loss').__name__ == 'dice_loss'
    assert type(load_function(f'{MODULE}:Dice')).__name__ == 'Dice'
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', [p for p in sys.path if p not in ('', str(tmp_path))])
    (tmp_path / 'neighbour.py').write_text('factor = 2')
    (tmp_path / 'own_here.py').write_text(
        'import neighbour\nprint("a word")\nclass a:\n    loss = staticmethod(lambda y, p: neighbour.factor)'
    )
    assert load_function('own_here:a.loss')(0, 0) == 2
    (tmp_path / 'json.py').write_text('from neighbour import factor\ndef loss(y, p): return 3 * factor')
    before = sys.modules.get('json')
    assert load_function(str(tmp_path / 'json.py') + ':loss')(0, 0) == 6
    assert sys.modules.get('json') is before
    out, err = capsys.readouterr()
    assert out == '' and 'a word' in err


@pytest.mark.parametrize(
    ('target', 'words'),
    [
        ('dice_loss', "expected MODULE:FUNCTION or FILE.py:FUNCTION, got 'dice_loss'"),
        (f'{MODULE}:', 'expected MODULE:FUNCTION'),
        (f'{MODULE}:dice_los', "has no 'dice_los', did you mean 'dice_loss'?"),
        (f'{MODULE}:number', 'is no function but int: it cannot be called'),
        (f'{MODULE}:one_argument', 'one_argument takes one argument, a loss takes two'),
        (f'{MODULE}:Needs', 'the class Needs needs arguments'),
        ('nowhere.py:loss', "there is no file 'nowhere.py'"),
        ('own_losse:loss', "no module 'own_losse' in this folder or among what is installed, did you mean own_losses?"),
        ('broken:loss', 'broken cannot be imported: ZeroDivisionError: division by zero'),
        ('broken.py:loss', 'broken.py cannot be imported: ZeroDivisionError'),
        ('wordy:loss', 'wordy cannot be imported: SyntaxError'),
        ('needy:loss', "needy cannot be imported: it needs 'no_such_module_', which is not installed"),
        ('needy.py:loss', "needy.py cannot be imported: it needs 'no_such_module_', which is not installed"),
        ('ends:loss', 'ends cannot be imported: SystemExit: 3'),
    ],
)
def test_one_sentence(target, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', list(sys.path))
    for name, text in dict(
        own_losses='', broken='1 / 0', wordy='a b', needy='import no_such_module_', ends='exit(3)'
    ).items():
        (tmp_path / f'{name}.py').write_text(text)
    for _ in range(2):  # what failed once fails again: no half of a module stays behind
        with pytest.raises(ValueError) as caught:
            load_function(target)
        assert words in str(caught.value) and '\n' not in str(caught.value)
    if '.py:' in target:
        assert target.split('.py:')[0] not in sys.modules

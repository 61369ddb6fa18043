"""The command from start to end, tiny: what it writes, what goes on after an interruption, what it refuses."""

import io
import json
import re

import pytest
from rich.console import Console

from segparity.demo.settings import write_json
from segparity.study import command, terminal
from segparity.study.conditions import CONDITIONS
from segparity.study.runs import Run, record_path
from segparity.study.settings import MARKER, PAGE, RESULTS
from segparity.study.terminal import shown
from tests.support.html_links import Links

ONE = '--data', 'digits-smoothed', '--seeds', '1'


def numbers(folder):
    """The results without what a clock says."""
    found = json.loads((folder / RESULTS).read_text())
    for record in (found, *found['runs']):
        assert record.pop('seconds') > 0
    return found


def test_every_number_of_the_json_is_on_the_page(study, tmp_path):
    code, said = study(*ONE)
    assert code == 0 and 'JaccardMetric + CE, soft' in said and f'numbers: {tmp_path / "study" / RESULTS}' in said
    found, text = numbers(tmp_path / 'study'), (tmp_path / 'study' / PAGE).read_text()
    assert [run['condition'] for run in found['runs']] == list(CONDITIONS)
    part = found['summary']['digits-smoothed']
    for measures in part['conditions'].values():
        assert all(f'<td class="n">{shown(measure["mean"])}</td>' in text for measure in measures.values())
    for pair in part['differences']:
        assert all(f'{shown(measure["mean"])}' in text for measure in pair['measures'].values())
    assert re.search(r'SoftJaccard p = 1\.0,\s+JaccardMetric p = 0\.5', text)
    links = Links()
    links.feed(text)
    assert links.fetched == [] and links.open == [] and '<script' not in text
    assert text.count('<svg ') == 1 + 3 and text.count('<img ') == 3 + len(CONDITIONS)
    assert 'None' not in text and 'nan' not in re.sub(r'data:image/png;base64,[^"]*', '', text)


def test_an_interrupted_study_goes_on_to_the_same_numbers(study, tmp_path, monkeypatch):
    begin, started = terminal.Bar.begin, []
    monkeypatch.setattr(command, 'write_page', lambda *_: None)

    def interrupted(bar, run):
        started.append(run)
        if len(started) == 4:
            raise KeyboardInterrupt
        begin(bar, run)

    with monkeypatch.context() as patched:
        patched.setattr(terminal.Bar, 'begin', interrupted)
        code, said = study(*ONE)
    assert code == 130 and 'goes on from here' in said
    kept = {path.name: path.read_bytes() for path in (tmp_path / 'study' / 'runs').rglob('*.json')}
    assert len(kept) == 3
    code, said = study(*ONE)
    assert code == 0 and '3 of 7 trainings are there already' in said
    after = {path.name: path.read_bytes() for path in (tmp_path / 'study' / 'runs').rglob('*.json')}
    assert len(after) == 7 and kept.items() <= after.items()
    assert study(*ONE, out=tmp_path / 'whole')[0] == 0
    assert numbers(tmp_path / 'study') == numbers(tmp_path / 'whole')


def test_other_settings_train_anew_and_more_seeds_add(study, monkeypatch, tmp_path):
    trained = []
    monkeypatch.setattr(command, 'do_runs', lambda out, runs, *_: trained.append(len(runs)))
    monkeypatch.setattr(command, 'write_page', lambda *_: None)
    monkeypatch.setattr(command, 'results_of', lambda *_: {'summary': {}})
    conditions = len(CONDITIONS)
    study(*ONE)
    record = {'data': 'digits-smoothed', 'measures': dict.fromkeys(terminal.MEASURES, 0.5), 'threads': 1, 'seconds': 1}
    settings = command.Settings(**command.QUICK)
    code = command.code_fingerprint()
    for condition in CONDITIONS:
        fingerprint = command.run_fingerprint(settings, code, 'digits-smoothed', condition, 0)
        path = record_path(tmp_path / 'study', Run('digits-smoothed', condition, 0), fingerprint)
        write_json(path, {**record, 'condition': condition, 'seed': 0, 'fingerprint': fingerprint})
    study(*ONE)
    study('--data', 'digits-smoothed', '--seeds', '2')
    study(*ONE, '--iterations', '3')
    study(*ONE)
    path.write_text('{"fing')
    study(*ONE)
    study(*ONE, '--fresh')
    assert trained == [conditions, 0, conditions, conditions, 0, 1, conditions]


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['study', 'hard-labels'], "argument NAME: the only study is soft-labels, got 'hard-labels'"),
        (['study'], 'the following arguments are required: NAME'),
        (
            ['study', 'soft-labels', '--data', 'brain,city'],
            'data are digits-smoothed, digits-annotators and brain, got',
        ),
        (['study', 'soft-labels', '--seeds', '0'], "argument --seeds: a positive whole number, got '0'"),
        (['study', 'soft-labels', '--iterations', 'many'], "a positive whole number, got 'many'"),
        (['study', 'soft-labels', '--sedes', '3'], 'unknown option --sedes, did you mean --seeds?'),
    ],
)
def test_wrong_words_are_one_sentence(capsys, words, said):
    from segparity.cli import main

    with pytest.raises(SystemExit) as stopped:
        main(words)
    err = capsys.readouterr().err
    assert stopped.value.code == 2 and said in err and err.count('\n') == 1


def test_a_folder_with_other_files_is_refused(study, tmp_path):
    (tmp_path / 'thesis.tex').write_text('mine')
    code, said = study(*ONE, out=tmp_path)
    assert code == 2 and said == f'segparity: {tmp_path} holds other files: name an empty or a new folder with --out\n'
    assert not (tmp_path / MARKER).exists()


def test_without_the_packages_a_sentence_names_them(study, monkeypatch):
    import segparity.study as package

    monkeypatch.setattr(package, 'NEEDED', {'no_such_module_here': 'scipy'})
    assert study(*ONE) == (2, "segparity: the study needs scipy: pip install 'segparity[study]'\n")


def test_a_terminal_shows_which_training_runs_and_how_long_it_takes(tiny):
    console = Console(force_terminal=True, width=140, file=io.StringIO())
    run = Run('brain', 'cross-entropy-soft', 1)
    with terminal.Bar(console, [run], tiny) as bar:
        bar.begin(run)
        for _ in range(tiny.iterations):
            bar.step()
        bar.end(run, {})
    assert re.search(r'1/1.+0:00:0\d.+left.+0:00:00.+brain, CE, soft, seed 1', console.file.getvalue())

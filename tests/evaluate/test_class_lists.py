"""Names of classes in text, JSON and YAML, and colours in hex; whatever else a file holds is one sentence."""

import json
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segparity.evaluate.class_lists import read_classes
from segparity.evaluate.maps import read_labels
from segparity.evaluate.palette import read_palette
from segparity.evaluate.structured import TEXT_LIMIT, YAML_LIMIT
from tests.evaluate.data import refusal, run, save

NAMES = ['road', 'traffic light', 'wall']
LISTS = {
    'a.txt': 'road\ntraffic light\n\nwall\n',
    'list.json': json.dumps(NAMES),
    'ids.json': '{"2": "wall", "0": "road", "1": "traffic light"}',
    'names.json': '{"wall": 2, "road": 0, "traffic light": 1}',
    'entries.json': '[{"id": 2, "name": "wall"}, {"id": 0, "name": "road"}, {"name": "traffic light", "id": 1, "color": [1]}]',
    'nnunet.json': '{"channel_names": {"0": "T1"}, "labels": {"road": 0, "traffic light": 1, "wall": 2}, "numTraining": 3}',
    'coco.json': '{"categories": [{"id": 0, "name": "road"}, {"id": 1, "name": "traffic light"}, {"id": 2, "name": "wall"}]}',
    'list.yaml': '- road\n- traffic light\n- wall\n',
    'flow.yml': '[road, traffic light, wall]',
    'ids.yaml': '# classes\n0: road\n1: traffic light\n2: wall\n',
    'yolo.yaml': 'path: data\ntrain: images\nnames:\n  0: road\n  1: traffic light\n  2: wall\n',
    'entries.YAML': '- {id: 1, name: traffic light}\n- {id: 0, name: road}\n- {id: 2, name: wall}\n',
    'bom.json': '\ufeff["road", "traffic light", "wall"]',
}


def needs_yaml(name):
    if Path(name).suffix.lower() in ('.yaml', '.yml'):
        pytest.importorskip('yaml', reason='needs PyYAML')


def written(folder, name, text):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize('name', LISTS)
def test_every_form_of_a_list_is_the_same_names(tmp_path, name):
    needs_yaml(name)
    assert read_classes(written(tmp_path, name, LISTS[name])) == NAMES


@pytest.mark.parametrize(
    'name, text, sentence',
    [
        ('a.json', '{"1": "a", "2": "b"}', 'the ids of 2 classes must be 0 to 1, got 2 and no 0'),
        ('a.json', '{"0": "a", "00": "b"}', "the id 0 is that of 'a' and of 'b'"),
        ('a.json', '{"0": "a", "0": "b"}', "'0' is in it twice"),
        ('a.json', '{"a": 0, "b": 0}', "the id 0 is that of 'a' and of 'b'"),
        ('a.json', '{"road": "a"}', "the id of a class must be a whole number from 0 on, got 'road'"),
        ('a.json', '[{"id": 0}]', "every class must have an 'id' and a 'name', got {'id': 0}"),
        ('a.json', '[{"id": 0, "name": "a"}, "b"]', "must have an 'id' and a 'name', got 'b'"),
        ('a.json', '[{"id": true, "name": "a"}]', 'must be a whole number from 0 on, got True'),
        ('a.json', '["a", 3]', 'the name of class 1 must be a text, got 3'),
        ('a.json', '["a", " "]', "the name of class 1 must be a text, got ' '"),
        ('a.json', '"road"', "expected a list of names or {id: name}, got 'road'"),
        ('a.json', '["a"', 'is no list of classes: '),
        ('a.json', '[' * 100_000, 'nested too deeply'),
        ('a.json', b'\xff\xfe', 'not a text in UTF-8'),
        ('a.json', '[' + '1' * 5000 + ']', 'is no list of classes: '),
        ('a.yaml', '- a\n- no\n', 'the name of class 1 must be a text, got False; in YAML such a word needs quotes'),
        ('a.yaml', '0: a\n0: b\n', '0 is in it twice'),
        ('a.yaml', '[a, &x b, *x]', 'it has an alias, *x, which is not taken'),
        ('a.yaml', 'a: [b\n', 'is no list of classes: '),
        ('a.yaml', '!!python/object/apply:os.system ["true"]', 'is no list of classes: '),
        ('a.yaml', '? [a, b]\n: c\n', 'is no list of classes: '),
        ('a.yaml', '[' * 1000, 'nested too deeply'),
        ('a.yaml', '[1' + ':1' * 5000 + ']', 'it has a number of more than 40 digits'),
        ('a.yaml', '', 'expected a list of names or {id: name}, got None'),
        ('a.yaml', '- a\n' * (YAML_LIMIT // 4 + 1), 'write it as JSON'),
        ('a.json', ' ' * (TEXT_LIMIT + 1), f'it has more than {TEXT_LIMIT} bytes'),
    ],
    ids=range(26),
)
def test_a_wrong_list_is_one_sentence(tmp_path, name, text, sentence):
    needs_yaml(name)
    path = written(tmp_path, name, text)
    with pytest.raises(ValueError) as raised:
        read_classes(path)
    assert sentence in str(raised.value) and str(path) in str(raised.value) and '\n' not in str(raised.value)


def test_a_laugh_of_a_billion_aliases_is_refused_at_once(tmp_path):
    needs_yaml('a.yaml')
    lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x]']
    lines += [f'a{k}: &a{k} [{", ".join([f"*a{k - 1}"] * 9)}]' for k in range(1, 12)]
    for read in (read_classes, read_palette):
        with pytest.raises(ValueError, match='it has an alias, .a0, which is not taken'):
            read(written(tmp_path, 'a.yaml', '\n'.join(lines)))


def test_without_pyyaml_a_sentence_says_what_it_is_for(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'yaml', None)
    with pytest.raises(
        ImportError, match=r'a.yaml is YAML, which needs PyYAML: pip install pyyaml, or write it as JSON'
    ):
        read_classes(written(tmp_path, 'a.yaml', '- a\n- b\n'))


def test_the_command_takes_them(tmp_path, capsys):
    paths = [str(save(tmp_path / f'{name}.png', np.array([[0, 1, 2]], np.uint8))) for name in 'pg']
    classes = written(tmp_path, 'c.json', LISTS['ids.json'])
    code, out, _ = run(capsys, 'evaluate', *paths, '--classes', classes, '--json', '-')
    assert code == 0 and json.loads(out)['classes'] == NAMES
    classes.write_text('{"1": "a"}')
    assert 'must be 0 to 0, got 1 and no 0' in refusal(capsys, 'evaluate', *paths, '--classes', classes)
    classes.write_text('["a", "a", "b"]')
    assert "must have different names, got 'a' twice" in refusal(capsys, 'evaluate', *paths, '--classes', classes)


RGB = np.array([[128, 64, 128], [250, 170, 30], [70, 70, 70]], np.uint8)
PALETTES = {
    'hex.txt': '#804080 road\n\n# a comment\n#FAAA1E traffic light # the small ones\n#464646 wall\n',
    'hex.csv': '#804080,road\n#faaa1e,traffic light\n#464646,wall\n',
    'hex.json': '{"road": "#804080", "traffic light": "#faaa1e", "wall": "#464646"}',
    'mixed.json': '{"road": "#804080", "traffic light": [250, 170, 30], "wall": "#464646"}',
    'entries.json': '[{"name": "road", "color": [128, 64, 128]}, {"name": "traffic light", "color": "#faaa1e"}, '
    '{"name": "wall", "colour": "#464646"}]',
    'colours.yaml': 'road: "#804080"\ntraffic light: [250, 170, 30]\nwall: \'#464646\'\n',
    'entries.yml': '- {name: road, color: [128, 64, 128]}\n- {name: traffic light, color: "#faaa1e"}\n'
    '- {name: wall, color: [70, 70, 70]}\n',
    'rgb.txt': '#facade is a comment of a palette of numbers\n128 64 128 road\n#000000\n250 170 30 traffic light\n70 70 70 wall\n',
}


@pytest.mark.parametrize('name', PALETTES)
def test_every_form_of_a_palette_is_the_same_colours(tmp_path, name):
    needs_yaml(name)
    palette = read_palette(written(tmp_path, name, PALETTES[name]))
    assert palette.names == tuple(NAMES) and [c[:3] for c in palette.colours] == [tuple(c) for c in RGB.tolist()]
    Image.fromarray(RGB[None]).save(tmp_path / 'x.png')
    assert read_labels(tmp_path / 'x.png', palette).tolist() == [[0, 1, 2]]


def test_hex_without_names_and_an_ignored_colour(tmp_path):
    palette = read_palette(written(tmp_path, 'p.txt', '#804080\n#000000 ignore\n#464646\n'))
    assert palette.names == ('', '') and palette.colours[1] == (0, 0, 0, None)


@pytest.mark.parametrize(
    'name, text, sentence',
    [
        ('p.txt', '#804080 a\n#804080 b\n', r'line 2: the colour \[128, 64, 128\] is also that of line 1'),
        ('p.txt', '#804080 a\n250 170 30 b\n#804081 c\n#80408 d', None),  # numbers: what follows a # is a comment
        ('p.json', '{"a": "#8040"}', "entry 0: a colour is three integers from 0 to 255, got .'#8040'."),
        ('p.json', '{"a": "804080"}', 'entry 0: a colour is three integers'),
        ('p.json', '[{"name": "a"}]', r'entry 0: a colour is three integers from 0 to 255, got \[None\]'),
        ('p.json', '[{"name": 3, "color": "#804080"}]', 'entry 0: a name must be a text, got 3'),
        ('p.json', '{"a": "#804080", "a": "#804081"}', "'a' is in it twice"),
        ('p.yaml', '3: "#804080"', 'entry 0: a name must be a text, got 3'),
        ('p.yaml', 'a', 'expected {name: colour} or a list of colours'),
        ('p.yaml', 'a: #804080', r'entry 0: a colour is three integers from 0 to 255, got \[None\]'),
    ],
)
def test_a_wrong_palette_is_one_sentence(tmp_path, name, text, sentence):
    needs_yaml(name)
    path = written(tmp_path, name, text)
    if sentence is None:
        assert read_palette(path).names == ('b',)
        return
    with pytest.raises(ValueError, match=sentence):
        read_palette(path)


TOKENS = st.sampled_from(
    ['- ', ': ', '\n', '  ', '[', ']', '{', '}', ',', '"', "'", '#', '0', '1', '255', 'a', 'no', '&a ', '*a', '<<', '? ', '|\n',
     '!!', '!!int ', '---\n', '%', '1e9', '.inf', '0x_', '1:1', '2001-01-01', '#804080', 'name', 'id', 'names', '\x00', '\ufeff', 'é']
)  # fmt: skip


@pytest.mark.parametrize('suffix', ['.txt', '.json', '.yaml'])
@given(data=st.one_of(st.binary(max_size=80), st.lists(TOKENS, max_size=40).map(lambda found: ''.join(found).encode())))
@settings(max_examples=100, deadline=None, database=None)
def test_whatever_a_file_holds_is_names_or_a_sentence(tmp_path_factory, suffix, data):
    needs_yaml('a' + suffix)
    path = tmp_path_factory.getbasetemp() / f'fuzzed{suffix}'
    path.write_bytes(data)
    for read in (read_classes, read_palette):
        start = perf_counter()
        try:
            found = read(path)
        except ValueError as error:
            assert str(path) in str(error) and '\n' not in str(error)
        else:
            assert all(isinstance(name, str) for name in (found if read is read_classes else found.names))
        assert perf_counter() - start < 20

"""What data sets publish, and what --preset makes of it."""

import ast
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segparity.evaluate.presets import find_preset, presets
from segparity.evaluate.settings import OVERLAP
from tests.evaluate.data import label_maps, reference, refusal, run, save

ONE = ('--workers', '1')
# labels.py of cityscapesScripts
CITYSCAPES = {
    'road': 7, 'sidewalk': 8, 'building': 11, 'wall': 12, 'fence': 13, 'pole': 17, 'traffic light': 19, 'traffic sign': 20,
    'vegetation': 21, 'terrain': 22, 'sky': 23, 'person': 24, 'rider': 25, 'car': 26, 'truck': 27, 'bus': 28, 'train': 31,
    'motorcycle': 32, 'bicycle': 33,
}  # fmt: skip
COCO_WITHOUT = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91}  # of its 182 categories, counted from 1
MMSEG = {
    'cityscapes': ('cityscapes', 'CityscapesDataset'),
    'bdd100k': ('bdd100k', 'BDD100KDataset'),
    'mapillary': ('mapillary', 'MapillaryDataset_v1'),
    'mapillary-v2': ('mapillary', 'MapillaryDataset_v2'),
    'ade20k': ('ade', 'ADE20KDataset'),
    'voc': ('voc', 'PascalVOCDataset'),
    'pascal-context': ('pascal_context', 'PascalContextDataset'),
    'pascal-context-59': ('pascal_context', 'PascalContextDataset59'),
    'coco-stuff': ('coco_stuff', 'COCOStuffDataset'),
    'loveda': ('loveda', 'LoveDADataset'),
    'potsdam': ('potsdam', 'PotsdamDataset'),
    'vaihingen': ('isprs', 'ISPRSDataset'),
    'isaid': ('isaid', 'iSAIDDataset'),
}


def facts(module, name):
    """METAINFO and the defaults of __init__ of a data set of MMSegmentation, from its source: nothing is imported."""
    spec = importlib.util.find_spec('mmseg')
    if spec is None:
        pytest.skip('needs MMSegmentation, whose tables are compared')
    source = Path(spec.submodule_search_locations[0], 'datasets', f'{module}.py').read_text()
    of_class = next(n for n in ast.parse(source).body if isinstance(n, ast.ClassDef) and n.name == name)
    found = {}
    for node in of_class.body:
        if isinstance(node, ast.Assign) and node.targets[0].id == 'METAINFO':
            found |= {k.arg: ast.literal_eval(k.value) for k in node.value.keywords}
        elif isinstance(node, ast.FunctionDef) and node.name == '__init__':
            names = [a.arg for a in node.args.args][-len(node.args.defaults) :]
            found |= dict(zip(names, map(ast.literal_eval, node.args.defaults)))
    return found


@pytest.mark.parametrize('name', MMSEG)
def test_the_tables_are_those_of_mmsegmentation(name):
    preset, found = presets()[name], facts(*MMSEG[name])
    unlabeled = name.startswith('mapillary')  # its last class, which is no class of the benchmark
    classes = [c.strip() for c in found['classes']]
    assert list(preset.classes) == classes[: len(classes) - unlabeled]
    assert not unlabeled or (classes[-1], preset.ignore_index) == ('Unlabeled', len(classes) - 1)
    if preset.colours:
        colours = [list(colour[:3]) for colour in preset.palette().colours if colour[3] is not None]
        assert colours == found['palette']
    converted = preset.ground_truth[-1]
    reduced = preset.reduce_zero_label if converted.reduce_zero_label is None else converted.reduce_zero_label
    assert reduced == found.get('reduce_zero_label', False)
    suffix = found['seg_map_suffix'].removesuffix('.png') if 'seg_map_suffix' in found else ''
    assert suffix in [form.suffix for form in preset.ground_truth]


def test_label_ids_are_those_of_the_data_sets():
    preset = presets()['cityscapes']
    assert {preset.classes[k]: given for given, k in preset.ids() if k is not None} == CITYSCAPES
    assert sorted(given for given, _ in preset.ids()) == list(range(-1, 34))  # license plate to bicycle
    preset = presets()['coco-stuff']
    assert [given for given, k in preset.ids() if k is not None] == sorted(
        {k - 1 for k in range(1, 183)} - {k - 1 for k in COCO_WITHOUT}
    )
    ids = {preset.classes[k]: given for given, k in preset.ids() if k is not None}
    known = {'person': 0, 'fire hydrant': 10, 'stop sign': 12, 'toothbrush': 89, 'banner': 91, 'wood': 181}
    assert known.items() <= ids.items()


@pytest.mark.parametrize('name', presets())
def test_a_table_is_whole(name):
    preset = presets()[name]
    assert len(set(preset.classes)) == len(preset.classes) > 1 and preset.title
    assert preset.ignore_index >= len(preset.classes)
    assert not preset.label_ids or len(preset.label_ids) == len(preset.classes)
    assert len({*preset.label_ids, *preset.void_ids}) == len(preset.label_ids) + len(preset.void_ids)
    for form in preset.ground_truth:
        assert form.ids == 'classes' or preset.ids()
        assert not form.colours or len({c[:3] for c in preset.palette().colours}) >= len(preset.classes)


def maps_of(preset, number=3):
    """(preds, targets) in classes, with a border of 255 in the targets."""
    return label_maps(number, classes=len(preset.classes), shape=(24, 30))


def evaluated(capsys, *arguments):
    code, out, err = run(capsys, 'evaluate', *arguments, *ONE, '--json', '-')
    assert code == 0, err
    return json.loads(out), err


def written(folder, preset, form, targets):
    """Writes the targets in a form of the preset; returns the folder."""
    table = np.zeros(256, np.uint8)
    table[: len(preset.classes)] = range(len(preset.classes))
    if form.ids == 'label-ids':
        table[: len(preset.classes)] = preset.label_ids
        table[255] = max(preset.void_ids)
    elif form.reduce_zero_label or (preset.reduce_zero_label and not form.colours):
        table[: len(preset.classes)] += 1
        table[255] = 0
    else:
        table[255] = preset.ignore_index
    for k, target in enumerate(targets):
        stored = table[target]
        if form.colours:
            colours = np.zeros((256, 3), np.uint8)
            for *colour, number in preset.palette().colours:
                colours[255 if number is None else number] = colour
            stored = colours[target]
        save(folder / f'x{k}{form.suffix}.png', stored)
    return folder


FORMS = [(name, k) for name, preset in presets().items() for k in range(len(preset.ground_truth))]


@pytest.mark.parametrize('name, which', FORMS)
def test_every_form_of_the_ground_truth_gives_the_numbers_of_its_classes(tmp_path, capsys, name, which):
    preset = presets()[name]
    form = preset.ground_truth[which]
    preds, targets = maps_of(preset)
    if form.colours and all(c[3] is not None for c in preset.palette().colours):  # iSAID's have no ignored colour
        for target in targets:
            target[target == 255] = 0
    for k, pred in enumerate(preds):
        save(tmp_path / 'p' / f'x{k}{preset.pred_suffixes[0]}.png', pred)
    gt = written(tmp_path / 'g', preset, form, targets)
    found, said = evaluated(capsys, tmp_path / 'p', gt, '--preset', name)
    want = reference('FineGrained', preds, targets, num_classes=len(preset.classes), ignore_index=255, metrics=OVERLAP)
    assert found['images'] == 3 and found['classes'] == list(preset.classes)
    for key, value in want.items():
        assert found['results'][key] == pytest.approx(value, rel=1e-12, nan_ok=True), key
    assert said.startswith(f'Preset {name}: {len(preset.classes)} classes, ') and said.count('\n') == 1
    chosen = found['preset']
    assert (
        chosen['name'] == name and chosen['gt_suffix'] == form.suffix and chosen['ignore_index'] == preset.ignore_index
    )
    assert ('gt_palette' in chosen) == form.colours and chosen['gt_ids'] == form.ids


def test_what_is_given_by_hand_beats_a_preset(tmp_path, capsys):
    preds, targets = label_maps(2, classes=5)
    for k, (pred, target) in enumerate(zip(preds, targets)):
        save(tmp_path / 'p' / f'{k}_a.png', pred)
        save(tmp_path / 'g' / f'{k}_b.png', target)
    by_hand = (
        '--num-classes',
        '5',
        '--ignore-index',
        '3',
        '--unknown',
        'ignore',
        '--no-reduce-zero-label',
        '--no-by-name',
    )
    suffixes = '--pred-suffix', '_a', '--gt-suffix', '_b'
    found, said = evaluated(capsys, tmp_path / 'p', tmp_path / 'g', '--preset', 'loveda', *by_hand, *suffixes)
    assert found['preset'] == {'name': 'loveda', 'gt_ids': 'classes'} and 'given by hand' in said
    assert found['settings']['ignore_index'] == 3 and found['classes'][4] == 'class 4'
    want, _ = evaluated(capsys, tmp_path / 'p', tmp_path / 'g', *by_hand[:5], 'ignore', *suffixes)
    assert found['results'] == want['results']
    none = found_settings(capsys, tmp_path, '--preset', 'cityscapes', '--ignore-index', 'none', '--unknown', 'count')
    assert none['ignore_index'] is None and none['classes'][0] == 'road'
    names = found_settings(capsys, tmp_path, '--preset', 'loveda', '--classes', 'a,b,c,d,e')
    assert names['classes'] == list('abcde') and names['reduce_zero_label']
    palette = tmp_path / 'p.txt'
    palette.write_text(''.join(f'{v} {v} {v} grey{v}\n' for v in (0, 1, 2, 3, 4)) + '255 255 255 ignore\n')
    colours = found_settings(capsys, tmp_path, '--preset', 'loveda', '--gt-palette', str(palette))
    assert colours['classes'][1] == 'grey1' and not colours['reduce_zero_label']


def found_settings(capsys, folder, *options):
    return evaluated(capsys, folder / 'p', folder / 'g', '--pred-suffix', '_a', '--gt-suffix', '_b', *options)[0][
        'settings'
    ]


def cityscapes(folder, *suffixes):
    """(preds, targets) of two images, targets with each suffix, in label ids where it says so."""
    preset = presets()['cityscapes']
    preds, targets = maps_of(preset, 2)
    forms = {form.suffix: form for form in preset.ground_truth}
    for suffix in suffixes:
        written(folder / 'g' / 'ulm', preset, forms[suffix], targets)
    for k, pred in enumerate(preds):
        save(folder / 'p' / f'x{k}_leftImg8bit.png', pred)
    return preds, targets


def test_train_ids_come_before_label_ids_and_a_suffix_by_hand_says_which(tmp_path, capsys):
    cityscapes(tmp_path, '_gtFine_labelIds', '_gtFine_labelTrainIds')
    Image.new('RGB', (3, 3)).save(tmp_path / 'g' / 'ulm' / 'x0_gtFine_color.png')
    folders = tmp_path / 'p', tmp_path / 'g', '--preset', 'cityscapes'
    train, said = evaluated(capsys, *folders)
    assert 'names in GT end with _gtFine_labelTrainIds' in said and train['settings'].get('gt_ids') is None
    label, said = evaluated(capsys, *folders, '--gt-suffix', '_gtFine_labelIds.png')
    assert 'label ids of GT mapped to classes' in said and label['results'] == train['results']
    as_classes = refusal_after_preset(capsys, *folders, '--gt-suffix', '_gtFine_labelIds', '--gt-ids', 'classes')
    assert 'is neither one of the 19 classes nor ignored' in as_classes


def refusal_after_preset(capsys, *arguments):
    code, _, err = run(capsys, 'evaluate', *arguments, *ONE)
    said, sentence = err.splitlines()
    assert code == 2 and said.startswith('Preset ') and sentence.startswith('segparity: ')
    return sentence


def test_predictions_in_label_ids(tmp_path, capsys):
    preds, _ = cityscapes(tmp_path, '_gtFine_labelIds')
    folders = tmp_path / 'p', tmp_path / 'g', '--preset', 'cityscapes'
    want, said = evaluated(capsys, *folders)
    assert 'PRED read as classes, not as label ids (--pred-ids label-ids)' in said
    table = np.array(presets()['cityscapes'].label_ids, np.uint8)
    for k, pred in enumerate(preds):
        save(tmp_path / 'p' / f'x{k}_leftImg8bit.png', table[pred])
    assert 'the prediction ' in refusal_after_preset(capsys, *folders)
    found, said = evaluated(capsys, *folders, '--pred-ids', 'label-ids')
    assert found['results'] == want['results'] and '--pred-ids' not in said
    save(tmp_path / 'p' / 'x0_leftImg8bit.png', np.zeros_like(preds[0]))  # unlabeled
    sentence = refusal_after_preset(capsys, *folders, '--pred-ids', 'label-ids')
    assert 'x0_leftImg8bit.png: the label id predicted at (1, 0) stands for no class' in sentence


def test_labels_that_are_no_label_ids(tmp_path, capsys):
    _, targets = cityscapes(tmp_path, '_gtFine_labelIds')
    path = tmp_path / 'g' / 'ulm' / 'x1_gtFine_labelIds.png'
    ids = np.array(Image.open(path))
    ids[2, 3] = 200
    save(path, ids)
    folders = tmp_path / 'p', tmp_path / 'g', '--preset', 'cityscapes'
    assert 'the label 200 at (2, 3) is none of the 35 label ids' in refusal_after_preset(capsys, *folders)
    valid = sum(int((target != 255).sum()) for target in targets)
    for option, fewer in (('ignore', 1), ('count', 0)):
        state = tmp_path / f'{option}.csv'
        evaluated(capsys, *folders, '--unknown', option, '--per-image', state)
        rows = [line.split(',') for line in state.read_text().splitlines()]
        tp, fp = rows[0].index('tp'), rows[0].index('fp')
        assert sum(int(row[tp]) + int(row[fp]) for row in rows[1:]) == valid - fewer


def test_label_ids_in_arrays_of_any_integers(tmp_path, capsys):
    preset = presets()['cityscapes']
    ids = np.array([[-1, 7, 33], [26, 0, 255]])
    save(tmp_path / 'p.npy', np.array([[0, 0, 18], [13, 5, 5]]))
    for dtype in ('int16', 'int64', 'int8'):
        given = np.where(ids == 255, 4, ids).astype(dtype)
        save(tmp_path / 'g.npy', given)
        options = '--preset', 'cityscapes', '--gt-ids', 'label-ids'
        found, _ = evaluated(capsys, tmp_path / 'p.npy', tmp_path / 'g.npy', *options)
        assert found['results']['aAcc'] == 1 and sum(found['images_with_class']) == 3
    save(tmp_path / 'g.npy', np.array([[2**64 - 1, 7, 7]], np.uint64))
    save(tmp_path / 'p.npy', np.array([[0, 0, 0]]))
    code, _, err = run(capsys, 'evaluate', tmp_path / 'p.npy', tmp_path / 'g.npy', *ONE, *options)
    assert code == 2 and f'the label {2**64 - 1} at (0, 0) is none of the {len(preset.ids())} label ids' in err


def test_lists_and_single_maps_take_a_preset(tmp_path, capsys):
    cityscapes(tmp_path, '_gtFine_labelIds')
    want, _ = evaluated(capsys, tmp_path / 'p', tmp_path / 'g', '--preset', 'cityscapes')
    for side, names in (('p', 'p/x{}_leftImg8bit.png'), ('g', 'g/ulm/x{}_gtFine_labelIds.png')):
        (tmp_path / f'{side}.txt').write_text(''.join(names.format(k) + '\n' for k in range(2)))
    found, _ = evaluated(capsys, tmp_path / 'p.txt', tmp_path / 'g.txt', '--preset', 'cityscapes')
    assert found['results'] == want['results']
    single = tmp_path / 'p/x0_leftImg8bit.png', tmp_path / 'g/ulm/x0_gtFine_labelIds.png'
    assert evaluated(capsys, *single, '--preset', 'cityscapes')[0]['preset']['gt_ids'] == 'label-ids'


def test_a_split_of_the_pictures_chooses_from_predictions_of_any_ending(tmp_path, capsys):
    cityscapes(tmp_path, '_gtFine_labelIds')
    for k in range(2):
        (tmp_path / 'p' / f'x{k}_leftImg8bit.png').rename(tmp_path / 'p' / f'x{k}.png')
    split = tmp_path / 'val.txt'
    split.write_text('val/ulm/x1_leftImg8bit.png\n')
    found, _ = evaluated(capsys, tmp_path / 'p', tmp_path / 'g', '--preset', 'cityscapes', '--split', split)
    assert found['images'] == 1 and found['preset']['pred_suffix'] == ''


def test_predictions_of_another_ending_are_inferred(tmp_path, capsys):
    cityscapes(tmp_path, '_gtFine_labelIds')
    for k in range(2):
        (tmp_path / 'p' / f'x{k}_leftImg8bit.png').rename(tmp_path / 'p' / f'x{k}_swin.png')
    assert (
        evaluated(capsys, tmp_path / 'p', tmp_path / 'g', '--preset', 'cityscapes')[0]['preset']['pred_suffix']
        == '_swin'
    )


def test_colours_of_a_preset_for_predictions(tmp_path, capsys):
    preset = presets()['loveda']
    preds, targets = maps_of(preset)
    colours = np.array([c[:3] for c in preset.palette().colours], np.uint8)
    for k, pred in enumerate(preds):
        save(tmp_path / 'p' / f'x{k}.png', colours[pred])
    gt = written(tmp_path / 'g', preset, preset.ground_truth[0], targets)
    found, _ = evaluated(capsys, tmp_path / 'p', gt, '--preset', 'loveda', '--pred-palette', 'loveda')
    want = reference('FineGrained', preds, targets, num_classes=7, ignore_index=255, metrics=('mIoU',))
    assert found['results']['mIoUD'] == pytest.approx(want['mIoUD'], rel=1e-12)
    assert 'the preset ade20k has no colours' in refusal_after_preset(
        capsys, tmp_path / 'p', gt, '--preset', 'loveda', '--pred-palette', 'ade20k'
    )


def test_quiet_says_nothing(tmp_path, capsys):
    cityscapes(tmp_path, '_gtFine_labelIds')
    assert run(capsys, 'evaluate', tmp_path / 'p', tmp_path / 'g', '--preset', 'cityscapes', *ONE, '--quiet') == (
        0,
        '',
        '',
    )


def test_names_of_presets(capsys):
    with pytest.raises(SystemExit) as ended:
        run(capsys, 'evaluate', '--preset', 'list')
    assert ended.value.code == 0 and [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(
        presets()
    )
    for given, sentence in (('citys', 'did you mean cityscapes?'), ('qqq', '--preset list names them')):
        with pytest.raises(SystemExit) as ended:
            run(capsys, 'evaluate', 'p', 'g', '--preset', given)
        assert ended.value.code == 2 and sentence in capsys.readouterr().err
    assert find_preset('Pascal_Context') is presets()['pascal-context']


@pytest.mark.parametrize(
    'options, sentence',
    [
        (['--num-classes', '2', '--gt-ids', 'label-ids'], '--gt-ids label-ids are those of a --preset'),
        (['--preset', 'voc', '--pred-ids', 'label-ids'], 'the preset voc has no label ids other than its classes'),
        (
            ['--preset', 'cityscapes', '--gt-ids', 'label-ids', '--palette', 'cityscapes'],
            '--gt-ids label-ids is for maps of ids, but their palette makes classes of colours',
        ),
        (['--preset', 'ade20k', '--ignore-index', 'none'], '--reduce-zero-label needs an --ignore-index, got none'),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path, capsys, options, sentence):
    for side in 'pg':
        save(tmp_path / side / '1.png', np.zeros((2, 2), np.uint8))
    code, _, err = run(capsys, 'evaluate', tmp_path / 'p', tmp_path / 'g', *ONE, *options)
    assert code == 2 and sentence in err.splitlines()[-1]


def test_a_preset_of_what_is_not_there_is_refused(tmp_path, capsys):
    (tmp_path / 'p').mkdir()
    assert 'GT nowhere does not exist' in refusal(capsys, 'evaluate', tmp_path / 'p', 'nowhere', '--preset', 'voc')
    assert 'PRED ' in refusal_after_preset(capsys, tmp_path / 'p', tmp_path / 'p', '--preset', 'voc')


def test_the_page_names_every_preset():
    page = Path(__file__).parents[2] / 'docs' / 'evaluate.md'
    assert [name for name in presets() if f'`{name}`' not in page.read_text(encoding='utf-8')] == []

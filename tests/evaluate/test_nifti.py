"""NIfTI volumes: their ids are those of NPY files, in whatever order of axes; their headers' spacing; and what is refused."""

import json
import re
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

nibabel = pytest.importorskip('nibabel', reason='needs nibabel')

from segparity.audit.picture_reading import read_labels, read_photo
from segparity.evaluate import maps, nifti
from segparity.evaluate.maps import MapError
from segparity.evaluate.pairs import Names, find_pairs, identity
from tests.evaluate.data import CLASSES, label_maps, probabilities, run, save

SPACING = (3.0, 0.5, 0.25)  # z, y, x
AFFINE = np.diag([0.25, 0.5, 3.0, 1.0])
AFFINE[:3, 3] = -20, 5, 11
SHAPE = (5, 12, 15)
ONE = ('--workers', '1', '--num-classes', str(CLASSES))


def volumes(number=2):
    found = [label_maps(SHAPE[0], seed) for seed in range(number)]
    return [np.stack(preds) for preds, _ in found], [np.stack(targets) for _, targets in found]


def write(path, array, affine=AFFINE, dtype=None, kind=nibabel.Nifti1Image):
    """A map (D, H, W), or channels (C, D, H, W), as a file (x, y, z) or (x, y, z, C)."""
    voxels = np.moveaxis(array, 0, -1).swapaxes(0, 2) if array.ndim == 4 else array.T
    path.parent.mkdir(parents=True, exist_ok=True)
    kind(voxels.astype(dtype or array.dtype), affine).to_filename(path)
    return path


def folders(folder, preds, targets, name='{k}.nii.gz', **options):
    for k, (pred, target) in enumerate(zip(preds, targets)):
        write(folder / 'pred' / name.format(k=k), pred, **options)
        write(folder / 'gt' / name.format(k=k), target)
    return [str(folder / 'pred'), str(folder / 'gt')]


def evaluated(capsys, *arguments):
    code, out, err = run(capsys, 'evaluate', *arguments, *ONE, '--json', '-')
    assert code == 0, err
    return json.loads(out)['results']


def refused(capsys, *arguments):
    code, _, err = run(capsys, 'evaluate', *arguments, *ONE)
    assert code == 2 and err.count('\n') == 1 and 'Traceback' not in err, err
    return err


def turned(array, axes, flipped, affine=AFFINE):
    """The voxels (D, H, W) and the affine of the same volume with its axes x, y, z in another order and some reversed."""
    voxels = array.T
    transform = np.array([[axes.index(k), -1 if k in flipped else 1] for k in range(3)], float)
    found = nibabel.orientations.apply_orientation(voxels, transform)
    return found.T, affine @ nibabel.orientations.inv_ornt_aff(transform, voxels.shape)


@pytest.mark.parametrize('kind', [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize('dtype', ['u1', 'i2', '>i2', 'f4', 'f8'])
def test_ids_are_those_of_an_array_with_z_first(dtype, kind, tmp_path):
    (pred,), _ = volumes(1)
    for name in ('a.nii', 'a.nii.gz'):
        found = maps.read_labels(write(tmp_path / name, pred, dtype=dtype, kind=kind))
        assert found.dtype == np.uint8 and np.array_equal(found, pred)
    large = write(tmp_path / 'b.nii', 1000 * pred.astype(np.int32), dtype='i4')
    assert np.array_equal(maps.read_labels(large), 1000 * pred.astype(int))


def test_scaled_voxels_are_what_the_header_makes_of_them(tmp_path):
    (pred,), _ = volumes(1)
    image = nibabel.Nifti1Image(pred.T.astype(np.int16), AFFINE)
    image.header.set_slope_inter(2.0, 1.0)
    image.to_filename(tmp_path / 'a.nii')
    stored = np.asanyarray(nibabel.load(tmp_path / 'a.nii').dataobj)
    assert np.array_equal(maps.read_labels(tmp_path / 'a.nii'), stored.T)


def test_pictures_and_volumes_of_one_slice(tmp_path):
    (pred,), _ = volumes(1)
    flat = write(tmp_path / 'flat.nii', pred[0])
    assert np.array_equal(maps.read_labels(flat), pred[0]) and nifti.geometry_of(flat).spacing == (0.5, 0.25)
    assert maps.read_labels(write(tmp_path / 'one.nii', pred[:1])).shape == (1, *SHAPE[1:])
    nibabel.Nifti1Image(pred.T[..., None], AFFINE).to_filename(tmp_path / 'four.nii')
    assert np.array_equal(maps.read_labels(tmp_path / 'four.nii'), pred)


def test_numbers_and_spacing_are_those_of_npy_files(tmp_path, capsys):
    preds, targets = volumes()
    for k, (pred, target) in enumerate(zip(preds, targets)):
        save(tmp_path / 'npy' / 'pred' / f'{k}.npy', pred)
        save(tmp_path / 'npy' / 'gt' / f'{k}.npy', target)
    plain = [str(tmp_path / 'npy' / side) for side in ('pred', 'gt')]
    same = folders(tmp_path, preds, targets)
    spacing = ('--spacing', ','.join(map(str, SPACING)))
    want = evaluated(capsys, *plain, '--all', *spacing)
    assert evaluated(capsys, *same, '--all') == want
    for option, unit in (((), "the headers' units"), (('--spacing', '1,1,1'), 'the unit of --spacing')):
        assert f'Surface distances, in {unit}' in run(capsys, 'evaluate', *same, '--distances', *option, *ONE)[1]
    assert evaluated(capsys, *same, '--all', '--spacing', '1,1,1') == evaluated(capsys, *plain, '--all') != want


@pytest.mark.parametrize(('axes', 'flipped'), [((0, 1, 2), {0, 1}), ((2, 0, 1), {1}), ((1, 0, 2), {0, 1, 2})])
def test_a_prediction_with_other_axes_is_laid_along_those_of_the_ground_truth(axes, flipped, tmp_path, capsys):
    preds, targets = volumes()
    want = evaluated(capsys, *folders(tmp_path / 'same', preds, targets), '--all')
    for k, pred in enumerate(preds):
        voxels, affine = turned(pred, axes, flipped)
        assert voxels.shape != pred.shape or not np.array_equal(voxels, pred)
        write(tmp_path / 'other' / f'{k}.nii.gz', voxels, affine)
    assert evaluated(capsys, str(tmp_path / 'other'), str(tmp_path / 'same' / 'gt'), '--all') == want


def test_a_volume_that_lies_elsewhere_is_refused_unless_asked(tmp_path, capsys):
    preds, targets = volumes()
    moved = AFFINE.copy()
    moved[0, 3] += 0.1
    both = folders(tmp_path, preds, targets, affine=moved)
    said = refused(capsys, *both)
    assert 'lies elsewhere than the ground truth: by their affines a corner of the volumes is 0.1 apart' in said
    assert evaluated(capsys, *both, '--affine', 'ignore') == evaluated(capsys, *folders(tmp_path / 'b', preds, targets))
    moved[0, 3] -= 0.1 - 1e-5  # what a header rounds
    evaluated(capsys, *folders(tmp_path / 'c', preds, targets, affine=moved))


def test_slices_are_compared_too(tmp_path, capsys):
    (pred,), (target,) = volumes(1)
    both = folders(tmp_path, [pred[0]], [target[0]])
    flipped = AFFINE @ np.diag([-1.0, 1, 1, 1])
    evaluated(capsys, *both)
    assert 'lies elsewhere than the ground truth' in refused(
        capsys, *folders(tmp_path, [pred[0]], [target[0]], affine=flipped)
    )


def test_a_header_that_says_no_place_is_not_compared(tmp_path, capsys):
    preds, targets = volumes(1)
    both = folders(tmp_path, preds, targets, name='{k}.nii')
    image = nibabel.Nifti1Image(preds[0].T, None)
    image.header['sform_code'] = image.header['qform_code'] = 0
    image.to_filename(tmp_path / 'pred' / '0.nii')
    assert evaluated(capsys, *both) == evaluated(capsys, *folders(tmp_path / 'b', preds, targets))


def test_probabilities_are_those_of_npz_files(tmp_path, capsys):
    _, targets = volumes()
    probs = probabilities(2, shape=SHAPE)
    for k, (prob, target) in enumerate(zip(probs, targets)):
        save(tmp_path / 'npz' / f'{k}.npz', prob)
        write(tmp_path / 'pred' / f'{k}.nii.gz', prob)
        write(tmp_path / 'gt' / f'{k}.nii.gz', target)
        voxels = [turned(channel, (2, 0, 1), {1}) for channel in prob]
        write(tmp_path / 'turned' / f'{k}.nii.gz', np.stack([v for v, _ in voxels]), voxels[0][1])
    gt = str(tmp_path / 'gt')
    want = evaluated(capsys, str(tmp_path / 'npz'), gt)
    assert 'ECED' in want
    assert evaluated(capsys, str(tmp_path / 'pred'), gt) == evaluated(capsys, str(tmp_path / 'turned'), gt) == want


def test_names(tmp_path):
    (pred,), _ = volumes(1)
    for name in ('pred/a_seg.nii.gz', 'gt/sub/a.nii', 'gt/sub/b.c.nii.gz', 'pred/b.c_seg.nii.gz'):
        write(tmp_path / name, pred)
    found, missing = find_pairs(tmp_path / 'pred', tmp_path / 'gt', Names('_seg', '', by_name=True))
    assert [pair.image for pair in found] == ['sub/a', 'sub/b.c'] and not missing
    assert find_pairs(tmp_path / 'pred', tmp_path / 'gt', Names('_seg.nii.gz', '', by_name=True))[0] == found
    assert identity(tmp_path / 'x.NII.GZ', '', tmp_path) == 'x' and identity(tmp_path / 'x.gz', '', tmp_path) == 'x'
    ((alone,), _) = find_pairs(tmp_path / 'pred' / 'a_seg.nii.gz', tmp_path / 'gt' / 'sub' / 'a.nii')
    assert alone.image == 'a'


class TestRefused:
    def test_what_is_no_map(self, tmp_path):
        (pred,), _ = volumes(1)
        half, nan = pred.astype('f4'), pred.astype('f4')
        half[1, 2, 3], nan[0, 0, 0] = 0.5, np.nan
        (tmp_path / 'text.nii').write_text('no volume')
        (tmp_path / 'empty.nii').write_bytes(b'')
        whole = write(tmp_path / 'whole.nii.gz', pred).read_bytes()
        (tmp_path / 'cut.nii.gz').write_bytes(whole[: len(whole) // 2])
        (tmp_path / 'plain.nii.gz').write_bytes(b'x' * 400)
        wrong = {
            'half.nii must hold integer class ids, got 0.5; probabilities have a fourth axis': half,
            'nan.nii must hold class ids, it has voxels that are no numbers': nan,
            'complex.nii must hold class ids, got complex64': pred.astype('c8'),
            'text.nii cannot be read: it is no NIfTI file': None,
            'empty.nii cannot be read: it is no NIfTI file': None,
            'cut.nii.gz cannot be read: ': None,
            'plain.nii.gz cannot be read: ': None,
            'none.nii does not exist': None,
        }
        for sentence, array in wrong.items():
            path = tmp_path / sentence.split(' ')[0]
            if array is not None:
                write(path, array)
            with pytest.raises(MapError, match=re.escape(sentence)) as said:
                maps.read_labels(path)
            assert '\n' not in str(said.value)

    def test_other_sizes(self, tmp_path, capsys):
        preds, targets = volumes(1)
        both = folders(tmp_path, [preds[0][:-1]], targets)
        assert 'sizes differ: ' in refused(capsys, *both) and '4x12x15, the ground truth 5x12x15' in refused(
            capsys, *both
        )

    def test_without_nibabel(self, tmp_path, capsys, monkeypatch):
        both = folders(tmp_path, *volumes(1))
        monkeypatch.setattr(nifti.importlib.util, 'find_spec', lambda name: None if name == 'nibabel' else True)
        assert "0.nii.gz needs nibabel: pip install 'segparity[nifti]'" in refused(capsys, *both)

    def test_declared_gigabytes_are_not_read(self, tmp_path):
        path = write(tmp_path / 'a.nii', volumes(1)[0][0])
        head = bytearray(path.read_bytes())
        struct.pack_into('<8h', head, 40, 3, 30000, 30000, 30000, 1, 1, 1, 1)
        path.write_bytes(bytes(head))
        with pytest.raises(MapError, match=r'a\.nii cannot be read: '):
            maps.read_labels(path)
        with pytest.raises(MapError, match=r'out of all proportion to the table'):
            read_labels(path, counted=1000)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.integers(0, 351), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_header_gives_a_map_or_a_sentence(flips, tmp_path):
    (pred,), _ = volumes(1)
    content = bytearray(write(tmp_path / 'whole.nii', pred).read_bytes())
    for place, byte in flips:
        content[place] = byte
    (tmp_path / 'a.nii').write_bytes(bytes(content))
    try:
        found = maps.read_labels(tmp_path / 'a.nii', fits=bounded)
    except (MapError, MemoryError) as error:
        assert '\n' not in str(error)
    else:
        assert found.dtype in (np.uint8, np.int32) and found.ndim in (2, 3)


def bounded(shape):
    if np.prod(shape, dtype=float) > 1e6:
        raise MapError('too large for a test')


def test_the_audit_lays_volumes_and_pictures_alike(tmp_path):
    (pred,), (target,) = volumes(1)
    there = nifti.geometry_of(write(tmp_path / 'gt.nii', target))
    voxels, affine = turned(pred, (2, 0, 1), {1})
    write(tmp_path / 'pred.nii.gz', voxels, affine)
    assert np.array_equal(read_labels(tmp_path / 'pred.nii.gz', shape=SHAPE, beside=there), pred)
    intensities = np.random.default_rng(0).normal(100, 20, SHAPE).astype('f4')
    write(tmp_path / 'image.nii.gz', *turned(intensities, (1, 0, 2), {0}))
    photo = read_photo(tmp_path / 'image.nii.gz', SHAPE, there)
    assert photo.shape == (*SHAPE, 3) and photo.dtype == np.uint8
    assert np.corrcoef(photo[..., 0].ravel(), intensities.ravel())[0, 1] > 0.99
    elsewhere = there._replace(affine=there.affine + np.eye(4), lenient=True)
    assert read_labels(tmp_path / 'gt.nii', beside=elsewhere).shape == SHAPE

"""A made-up data set of streets: six classes down to tiny signs, three models with weaknesses of their own, and three
kinds of wrong labels at known places."""

import numpy as np
from PIL import Image

from shared_spec.metrics.fine_grained import FineGrained, FineGrainedState
from shared_spec.metrics.per_image import per_image_columns, write_table

CLASSES = ('road', 'building', 'sky', 'vegetation', 'car', 'sign')
ROAD, BUILDING, SKY, VEGETATION, CAR, SIGN = range(6)
IGNORE = 255
LOOKS = ((95, 95, 100), (150, 120, 100), (170, 195, 225), (70, 110, 60), (170, 40, 45), (225, 205, 60))
MODELS = ('coarse', 'nightblind', 'hesitant')
SWAPPED, ERASED, PHANTOM = (
    7,
    11,
    13,
)  # images: a large car labelled as building, cars not labelled, one that is not there


def street(number, height, seed=0):
    """(photo uint8 (H, 2H, 3), what is there, what is labelled) of one street; every fifth is at night."""
    rng = np.random.default_rng([seed, number])
    width = 2 * height
    there = np.full((height, width), SKY, np.int64)
    horizon = int(height * rng.uniform(0.42, 0.52))
    x = 0
    while x < width:
        wide, high = int(width * rng.uniform(0.08, 0.2)), int(height * rng.uniform(0.15, 0.4))
        kind = BUILDING if rng.random() < 0.6 else VEGETATION
        there[horizon - high : horizon, x : x + wide] = kind
        x += wide
    there[horizon:] = ROAD
    for k in range(3):
        size = height * (0.26 if k == 0 and number in (SWAPPED, ERASED) else rng.choice([0.02, 0.05, 0.24]))
        box(there, rng, CAR, horizon + rng.uniform(0.1, 0.6) * (height - horizon), size, 1.8)
    for _ in range(rng.integers(1, 4)):
        box(there, rng, SIGN, horizon - rng.uniform(0.03, 0.3) * height, height * rng.choice([0.012, 0.02, 0.06]), 1.0)
    night = number % 5 == 4
    photo = np.array(LOOKS, float)[there] * (0.3 if night else 1) + smooth_noise(rng, there.shape)[..., None] * 25
    labelled = there.copy()
    if number == SWAPPED:
        labelled[largest_car(there)] = BUILDING
    elif number == ERASED:
        labelled[there == CAR] = ROAD
    elif number == PHANTOM:
        labelled[labelled == CAR] = ROAD
        labelled[int(0.6 * height) : int(0.85 * height), width // 3 : width // 3 + height // 2] = CAR
    labelled[-max(1, height // 24) :] = IGNORE  # the bonnet of our own car
    return np.clip(photo + rng.normal(0, 6, photo.shape), 0, 255).astype(np.uint8), there, labelled


def box(scene, rng, kind, bottom, high, stretch):
    high, wide = max(2, int(high)), max(2, int(stretch * high))
    left, bottom = int(rng.uniform(0.02, 0.9) * scene.shape[1]), int(min(bottom, scene.shape[0] * 0.9))
    scene[max(0, bottom - high) : bottom, left : left + wide] = kind


def largest_car(scene):
    """The columns and rows that the widest run of car pixels spans."""
    columns = (scene == CAR).sum(0)
    runs = np.split(np.arange(len(columns)), np.flatnonzero(np.diff(columns > 0)) + 1)
    best = max((run for run in runs if columns[run[0]] > 0), key=lambda run: columns[run].sum())
    mask = np.zeros(scene.shape, bool)
    mask[:, best] = scene[:, best] == CAR
    return mask


def smooth_noise(rng, shape, cells=6):
    """Slow noise of standard deviation about 1."""
    coarse = Image.fromarray(rng.normal(0, 1.6, (cells, 2 * cells)).astype(np.float32))
    return np.asarray(coarse.resize(shape[::-1], Image.Resampling.BICUBIC))


def prediction(model, there, number, seed=0):
    """What a model makes of a street: 'coarse' loses small things, 'nightblind' fails at night, 'hesitant' takes
    vegetation for building and the other way round, here and there."""
    rng = np.random.default_rng([seed, number, MODELS.index(model) + 10])
    height = len(there)
    cell = max(1, height // (20 if model == 'coarse' else 64))
    rows = np.clip(np.arange(height) // cell * cell + cell // 2, 0, height - 1)
    columns = np.clip(np.arange(2 * height) // cell * cell + cell // 2, 0, 2 * height - 1)
    pred = there[rows[:, None], columns].copy()
    noise = smooth_noise(rng, there.shape, 10)
    pred[(noise > 2.2) & (pred == SKY)] = BUILDING
    if model == 'nightblind' and number % 5 == 4:
        pred[(pred == CAR) & (noise > -1.5)] = ROAD
        pred[(pred == VEGETATION) & (noise > -0.5)] = BUILDING
    if model == 'hesitant':
        mixed = noise > 1
        swapped = np.where(pred == BUILDING, VEGETATION, np.where(pred == VEGETATION, BUILDING, pred))
        pred = np.where(mixed, swapped, pred)
    return pred


def write_streets(folder, images=60, height=96, models=MODELS, suffix='.csv', files=True):
    """Pictures, label maps, predictions and a per-image table for each model; returns the tables' paths."""
    spec = FineGrained(num_classes=len(CLASSES), ignore_index=IGNORE, metrics=('mAcc', 'mIoU', 'mDice'))
    states = {model: FineGrainedState(len(CLASSES), IGNORE) for model in models}
    names = [f'street_{number:03d}' for number in range(images)]
    for kind in ('images', 'labels', *models):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        photo, there, labelled = street(number, height)
        if files:
            Image.fromarray(photo).save(folder / 'images' / f'{name}.jpg', quality=90)
            Image.fromarray(labelled.astype(np.uint8)).save(folder / 'labels' / f'{name}.png')
        for model in models:
            pred = prediction(model, there, number)
            states[model].update(pred, labelled, image_id=name)
            if files:
                Image.fromarray(pred.astype(np.uint8)).save(folder / model / f'{name}.png')
    paths = []
    for model in models:
        path = folder / f'{model}{suffix}'
        write_table(path, per_image_columns({'image': names}, CLASSES, states[model].cells(spec)))
        paths.append(path)
    return paths

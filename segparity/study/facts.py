"""What the page says and shows of the data sets themselves, computed once and kept beside the runs."""

from pathlib import Path
from typing import Any

from segparity.as_json import json_value
from segparity.demo.settings import fingerprint, read_json, write_json
from segparity.study.data import StudyData, load_data
from segparity.study.judging import histogram, unclear_pixels
from segparity.study.pictures import example, image_picture, share_picture
from segparity.study.settings import Settings


def facts_of(out: Path, name: str, settings: Settings, code: str) -> dict[str, Any]:
    """The facts of a data set, from ``out`` where they are of these settings and this code."""
    path, wanted = out / 'data' / f'{name}.json', fingerprint(settings.to_dict(), code, name)
    kept = read_json(path)
    if isinstance(kept, dict) and kept.get('fingerprint') == wanted:
        return kept
    found = {'fingerprint': wanted, **json_value(facts(load_data(name, settings)))}
    write_json(path, found)
    return found


def facts(data: StudyData) -> dict[str, Any]:
    """Title, classes, sizes, the share of unclear test pixels and the histogram of their largest share, pictures."""
    test = data.test
    unclear, number = unclear_pixels(test.soft), example(test)
    one_hot = (test.hard[number] == [[[c]] for c in range(data.num_classes)]).astype(float)
    return {
        'title': data.title,
        'classes': data.classes,
        'train': len(data.train.images),
        'test': len(test.images),
        'size': test.images.shape[2:],
        'unclear': unclear.mean(),
        'unclearShare': test.soft.max(1)[unclear].mean() if unclear.any() else float('nan'),
        'histogram': histogram(test.soft.max(1), unclear),
        'pictures': {
            'image': image_picture(test.images[number]),
            'soft label': share_picture(test.soft[number]),
            'class ids': share_picture(one_hot),
        },
    }

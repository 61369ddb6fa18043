"""Test-time augmentation of heads with one channel: the mean of the probabilities, and nothing else changed."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.model import BaseTTAModel
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_plugin import one_channel_tta
from tests.mmseg.tiny_training import model

THRESHOLD = 0.5


def augmented(**head):
    """The model, a batch of two pictures, and the same batch three times as augmentations of nothing."""
    torch.manual_seed(0)
    config = dict(type='SegTTAModel', module=model(dict(type='SoftDiceLoss'), **head))
    built = MODELS.build(ConfigDict(config, _scope_='mmseg')).eval()
    pictures = [torch.randint(256, (3, 32, 32), dtype=torch.uint8) for _ in range(2)]

    def batch():
        about = dict(img_path='x.png', ori_shape=(32, 32), img_shape=(32, 32))
        data = [SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 32, 32)), metainfo=about) for _ in pictures]
        return dict(inputs=pictures, data_samples=data)

    with torch.no_grad():
        alone = built.module.test_step(batch())
        merged = built.test_step({key: [batch()[key] for _ in range(3)] for key in ('inputs', 'data_samples')})
    return alone, merged


def test_one_channel_gives_the_prediction_that_it_gives_without_augmentation():
    alone, merged = augmented(num_classes=2, out_channels=1, threshold=THRESHOLD)
    for a, b in zip(alone, merged):
        prob = a.seg_logits.data
        assert 0 < (prob > THRESHOLD).float().mean() < 1
        assert (prob.sigmoid() > THRESHOLD).all()  # what MMSegmentation compares: all of it foreground
        assert torch.equal(b.pred_sem_seg.data, a.pred_sem_seg.data)
        assert b.pred_sem_seg.data.dtype == a.pred_sem_seg.data.dtype and b.img_path == 'x.png' and 'gt_sem_seg' in b


def samples(*probs):
    return [
        SegDataSample(seg_logits=PixelData(data=torch.tensor(p).reshape(1, 1, -1)), metainfo=dict(img_path='x.png'))
        for p in probs
    ]


def test_probabilities_are_averaged():
    merged = one_channel_tta.merge_predictions(samples([0.9, 0.3, 0.4], [0.2, 0.6, 0.5]), 0.5)
    assert merged.pred_sem_seg.data.tolist() == [[[1.0, 0.0, 0.0]]]


def test_several_channels_are_merged_as_by_mmsegmentation():
    alone, merged = augmented()
    for a, b in zip(alone, merged):
        assert torch.equal(b.pred_sem_seg.data[0], a.seg_logits.data.softmax(0).argmax(0))
        assert 'gt_sem_seg' in b


@pytest.mark.parametrize('mended', ['base.py', 'seg_tta.py'])
def test_a_host_that_takes_one_sigmoid_stays_as_it_is(mended, monkeypatch):
    from mmseg.models.segmentors import SegTTAModel

    before = SegTTAModel.merge_preds, BaseTTAModel.__dict__.get('__init_subclass__')
    monkeypatch.setattr(one_channel_tta, 'takes_the_sigmoid', lambda file: file != mended)
    assert not one_channel_tta.merge_probabilities_once()
    assert (SegTTAModel.merge_preds, BaseTTAModel.__dict__.get('__init_subclass__')) == before


def test_other_models_of_test_time_augmentation_are_left_alone():
    class SegTTAModel(BaseTTAModel):  # one's own, of the same name
        def merge_preds(self, data_samples_list):
            return data_samples_list

    assert SegTTAModel.merge_preds.__module__ == __name__

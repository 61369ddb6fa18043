import os

num_classes = 2
ignore_index = 2
img_size = 224
experiment = 'floods'
work_dir = os.path.join('work', experiment)
splits = {k: os.path.abspath(v) for (k, v) in {'train': 'a.txt', 'val': 'b.txt'}.items()}
ce_weights = [0.3, 0.7, 0]
data = dict(
    samples_per_gpu=4,
    train=dict(type='FloodDataset', split=splits['train'], ignore_index=ignore_index,
               pipeline=[dict(type='LoadFloodAnnotations', reduce_zero_label=False)]),
    val=dict(type='FloodDataset', split=splits['val'], ignore_index=ignore_index))
optimizer = dict(type='Adam', lr=6e-5)
evaluation = dict(interval=5, metric='mIoU')
model = dict(
    type='EncoderDecoder',
    neck=dict(Hp=img_size // 16),
    decode_head=dict(type='FCNHead', num_classes=num_classes, ignore_index=ignore_index, channels=256,
                     loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1, class_weight=ce_weights)),
    test_cfg=dict(mode='slide', stride=(int(img_size / 2), int(img_size / 2))))

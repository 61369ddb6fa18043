# Heads in a head, as for change detection.
default_scope = 'opencd'
train_dataloader = dict(dataset=dict(type='PairDataset'))
model = dict(
    type='SiamEncoderMultiDecoder',
    decode_head=dict(
        type='PairHead',
        binary_head=dict(type='mmseg.UPerHead', num_classes=2, channels=64,
                         loss_decode=dict(type='mmseg.CrossEntropyLoss', loss_weight=1.0)),
        semantic_head=dict(type='mmseg.UPerHead', num_classes=6, channels=64,
                           loss_decode=dict(type='mmseg.CrossEntropyLoss', avg_non_ignore=True))))

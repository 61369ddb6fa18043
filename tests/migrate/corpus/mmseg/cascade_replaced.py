_base_ = './cascade.py'
model = dict(
    decode_head=[
        dict(type='FCNHead', in_channels=[18, 36], channels=54, num_classes=150,
             loss_decode=dict(type='CrossEntropyLoss', loss_weight=0.4)),
        dict(type='OCRHead', in_channels=[18, 36], channels=512, num_classes=150),
    ])

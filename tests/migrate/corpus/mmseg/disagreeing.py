_base_ = './base_only.py'
fields = dict(type='BaseSegDataset', data_root='a')
train_dataloader = dict(dataset=dict(
    _delete_=True, type='ConcatDataset', datasets=[fields, dict(type='LoveDADataset', data_root='b')]))

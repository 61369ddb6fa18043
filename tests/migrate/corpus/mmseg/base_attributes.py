_base_ = ['./class_weights_by_name.py']
crop_size = (512, 512)
model = dict(
    data_preprocessor=dict(size=crop_size),
    decode_head=dict(num_classes=_base_.model.decode_head.num_classes + 1,
                     loss_decode=dict(class_weight=_base_.class_weight + [2.0])))

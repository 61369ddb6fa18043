_base_ = ['./class_weights_by_name.py']
crop_size = {{_base_.crop_size}}
model = dict(
    decode_head=dict(loss_decode=[{{_base_.loss}}, dict(type='DiceLoss', eps=1e-5, naive_dice=True)]),
    auxiliary_head=dict(num_classes={{_base_.model.decode_head.num_classes}}, loss_decode=dict(class_weight={{ _base_.class_weight }})))

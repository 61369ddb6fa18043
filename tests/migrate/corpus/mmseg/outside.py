_base_ = ['./base_only.py', '../../../../../../../elsewhere/secret.py']
model = dict(decode_head=dict(num_classes=3))

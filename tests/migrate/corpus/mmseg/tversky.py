_base_ = './base_only.py'
alpha = 0.3
model = dict(decode_head=dict(loss_decode=dict(_delete_=True, type='TverskyLoss', alpha=alpha, beta=1 - alpha, smooth=1)))

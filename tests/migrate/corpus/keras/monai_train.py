from monai.losses import DiceCELoss
from monai.metrics import DiceMetric
from monai.networks.nets import UNet

model = UNet(spatial_dims=3, in_channels=1, out_channels=2, channels=(16, 32), strides=(2,))
loss_function = DiceCELoss(to_onehot_y=True, softmax=True, lambda_ce=0.5)
dice_metric = DiceMetric(include_background=False, reduction='mean')
for batch in loader:
    loss = loss_function(model(batch['image']), batch['label'])
    loss.backward()

import segmentation_models_pytorch as smp
from torch import nn


class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.dice = smp.losses.DiceLoss(mode='binary')
        self.bce = smp.losses.SoftBCEWithLogitsLoss(smooth_factor=0.1)

    def forward(self, output, mask):
        return self.dice(output, mask) + 0.3 * self.bce(output, mask)


criterion = Both()

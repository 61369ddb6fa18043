"""The study's U-Net in PyTorch: four stages, 254 000 parameters at base 12."""

import torch
from torch import Tensor, nn
from torch.nn import functional

STAGES = 4


def unit(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class UNet(nn.Module):
    """Images (N, inputs, H, W), H and W multiples of 8 -> logits (N, num_classes, H, W)."""

    def __init__(self, inputs: int, num_classes: int, base: int) -> None:
        super().__init__()
        widths = [base * 2**stage for stage in range(STAGES)]
        self.down = nn.ModuleList(
            nn.Sequential(unit(before, width), unit(width, width)) for before, width in zip([inputs, *widths], widths)
        )
        self.up = nn.ModuleList(unit(2 * width, width, 1) for width in widths[:-1])
        self.merge = nn.ModuleList(nn.Sequential(unit(2 * width, width), unit(width, width)) for width in widths[:-1])
        self.classify = nn.Conv2d(base, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for stage, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if stage else x)
            kept.append(x)
        for stage in reversed(range(STAGES - 1)):
            x = functional.interpolate(self.up[stage](x), scale_factor=2, mode='nearest')
            x = self.merge[stage](torch.cat([kept[stage], x], 1))
        return self.classify(x)

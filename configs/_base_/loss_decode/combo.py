# Cross-entropy that weighs missed foreground (beta), less the Dice score; negative where all is right.
loss_decode = [dict(type='ComboLoss', ignore_index=255)]

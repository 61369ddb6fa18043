# Dice and clDice: whether centre lines of vessels, roads or cracks lie in each other; iterations: the largest radius.
loss_decode = [dict(type='CenterlineDiceLoss', ignore_index=255)]

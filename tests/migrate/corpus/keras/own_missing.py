from tensorflow.keras.metrics import Precision, Recall, MeanIoU
from tensorflow.keras.optimizers import Nadam
from project.network import ResUnet
from project.measures import dice_coef, dice_loss

if __name__ == '__main__':
    try:
        model = ResUnet(input_size=256).build_model()
    except Exception:
        raise
    metrics = [Recall(), Precision(), dice_coef, MeanIoU(num_classes=2)]
    model.compile(loss=dice_loss, optimizer=Nadam(1e-4), metrics=metrics)

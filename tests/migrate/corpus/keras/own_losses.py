import tensorflow.keras.backend as K


def tversky(y_true, y_pred, alpha=0.7, smooth=1):
    t, p = K.flatten(y_true), K.flatten(y_pred)
    tp, fn, fp = K.sum(t * p), K.sum(t * (1 - p)), K.sum((1 - t) * p)
    return (tp + smooth) / (tp + alpha * fn + (1 - alpha) * fp + smooth)


def focal_tversky(y_true, y_pred):
    return K.pow(1 - tversky(y_true, y_pred), 0.75)


def tversky_loss(y_true, y_pred):
    return 1 - tversky(y_true, y_pred)

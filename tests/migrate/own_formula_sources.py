"""Losses as people write them, in Keras, TensorFlow and PyTorch: text, how it is used, and what it is.

Each row: name -> (imports, text, context, verdict, our loss, its parameters, offset). Every function is called ``loss`` and
takes labels and prediction, in Keras in this order; a name that begins with ``torch`` takes the prediction first.
"""

K = 'from keras import backend as K\nsmooth = 1.0\n'
TF = 'import tensorflow as tf\nfrom tensorflow.keras import backend as K\n'
OPS = 'import keras\nfrom keras import ops\n'
TORCH = 'import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n'
ONE = dict(world='keras', channels=1, activation='sigmoid')
MANY = dict(world='keras', channels=3, activation='softmax', labels='one_hot')
IDS = dict(world='keras', channels=3, activation='softmax', labels='ids')
KERAS_LOGITS = dict(world='keras', channels=1, activation='logits')
TORCH_ONE = dict(world='mmseg', channels=1, activation='logits')
TORCH_MANY = dict(world='mmseg', channels=3, activation='logits')
TORCH_IDS = dict(world='mmseg', channels=3, activation='logits', labels='ids')

SOURCES = {
    'flat_dice': (K, """
def dice(y_true, y_pred):
    t = K.flatten(y_true)
    p = K.flatten(y_pred)
    return (2. * K.sum(t * p) + smooth) / (K.sum(t) + K.sum(p) + smooth)

def loss(y_true, y_pred):
    return 1 - dice(y_true, y_pred)
""", ONE, 'exact', 'SoftDiceLoss', dict(granularity='D', smooth=0.5), 0),
    'flat_dice_negative': (K, """
def dice(y_true, y_pred, smooth=100):
    t, p = K.reshape(y_true, (-1,)), K.reshape(y_pred, (-1,))
    both = K.sum(t * p)
    return (2. * both + smooth) / (K.sum(t) + K.sum(p) + smooth)

def loss(y_true, y_pred):
    return -dice(y_true, y_pred)
""", ONE, 'exact', 'SoftDiceLoss', dict(granularity='D', smooth=50.0), -1),
    'half_bce_less_dice': (K + 'from keras.losses import binary_crossentropy\n', """
def dice(y_true, y_pred):
    t, p = K.flatten(y_true), K.flatten(y_pred)
    return (2. * K.sum(t * p) + 1e-6) / (K.sum(t) + K.sum(p) + 1e-6)

def loss(y_true, y_pred):
    return 0.5 * K.mean(binary_crossentropy(y_true, y_pred)) - dice(y_true, y_pred)
""", ONE, 'float32', 'WeightedSumLoss', dict(names=['SoftDiceLoss', 'WeightedCrossEntropyLoss'], weights=(1.0, 0.5)), -1),
    'axes_one_channel': (TF, """
def loss(y_true, y_pred, smooth=1.0):
    y_true = tf.cast(y_true, tf.float32)
    both = tf.reduce_sum(y_true * y_pred, axis=[1, 2, 3])
    size = tf.reduce_sum(y_true, axis=[1, 2, 3]) + tf.reduce_sum(y_pred, axis=[1, 2, 3])
    return tf.reduce_mean(1.0 - tf.math.divide(2.0 * both + smooth, size + smooth))
""", ONE, 'exact', 'SoftDiceLoss', dict(granularity='I', smooth=0.5), 0),
    'axes_many': (OPS, """
def loss(y_true, y_pred):
    axes = tuple(range(1, len(y_pred.shape) - 1))
    both = ops.sum(y_true * y_pred, axis=axes)
    sizes = ops.sum(y_true, axis=axes) + ops.sum(y_pred, axis=axes)
    return 1 - ops.mean((2 * both + 1) / (sizes + 1))
""", MANY, 'exact', 'SoftDiceLoss', dict(granularity='I', smooth=0.5), 0),
    'squared_denominator': (TF, """
def loss(y_true, y_pred):
    numerator = 2 * tf.reduce_sum(y_true * y_pred, axis=(1, 2, 3)) + 1
    denominator = tf.reduce_sum(tf.square(y_true), (1, 2, 3)) + tf.reduce_sum(tf.pow(y_pred, 2), (1, 2, 3)) + 1
    return 1 - numerator / denominator
""", ONE, 'exact', 'SoftDiceLoss', dict(granularity='I', norm=2, smooth=0.5), 0),
    'flat_iou': (K, """
def iou(y_true, y_pred):
    both = K.sum(K.abs(y_true * y_pred), axis=None)
    union = K.sum(y_true) + K.sum(y_pred) - both
    return (both + smooth) / (union + smooth)

def loss(y_true, y_pred):
    return 1 - iou(y_true, y_pred)
""", ONE, 'exact', 'SoftJaccardLoss', dict(granularity='D', smooth=1.0), 0),
    'iou_times_100': (K, """
def loss(y_true, y_pred, smooth=100):
    both = K.sum(y_true * y_pred)
    return (1 - (both + smooth) / (K.sum(y_true + y_pred) - both + smooth)) * smooth
""", ONE, 'exact', 'SoftJaccardLoss', dict(granularity='D', smooth=100.0, loss_weight=100.0), 0),
    'bce_dice': (TF, """
def dice_loss(y_true, y_pred):
    t = tf.reshape(y_true, [-1]); p = tf.reshape(y_pred, [-1])
    score = (2. * tf.reduce_sum(t * p) + 1.) / (tf.reduce_sum(t) + tf.reduce_sum(p) + 1.)
    return 1. - score

def loss(y_true, y_pred):
    return tf.keras.losses.binary_crossentropy(y_true, y_pred) + dice_loss(y_true, y_pred)
""", ONE, 'float32', 'WeightedSumLoss', dict(names=['SoftDiceLoss', 'WeightedCrossEntropyLoss']), 0),
    'tversky': (K, """
def tversky(y_true, y_pred):
    t = K.flatten(y_true)
    p = K.flatten(y_pred)
    true_pos = K.sum(t * p)
    false_neg = K.sum(t * (1 - p))
    false_pos = K.sum((1 - t) * p)
    alpha = 0.7
    return (true_pos + smooth) / (true_pos + alpha * false_neg + (1 - alpha) * false_pos + smooth)

def loss(y_true, y_pred):
    return 1 - tversky(y_true, y_pred)
""", ONE, 'exact', 'SoftTverskyLoss', dict(alpha=0.3, beta=0.7, smooth=1.0), 0),
    'focal_tversky': (K, """
def loss(y_true, y_pred, alpha=0.7, gamma=0.75):
    tp = K.sum(y_true * y_pred); fn = K.sum(y_true * (1 - y_pred)); fp = K.sum((1 - y_true) * y_pred)
    return K.pow(1 - (tp + 1) / (tp + alpha * fn + (1 - alpha) * fp + 1), gamma)
""", ONE, 'exact', 'FocalTverskyLoss', dict(alpha=0.3, beta=0.7, gamma=4 / 3), 0),
    'focal_tversky_per_class': (TF, """
def loss(y_true, y_pred):
    tp = tf.reduce_sum(y_true * y_pred, [0, 1, 2])
    fn = tf.reduce_sum(y_true * (1 - y_pred), [0, 1, 2])
    fp = tf.reduce_sum((1 - y_true) * y_pred, [0, 1, 2])
    return tf.reduce_mean(tf.pow(1 - (tp + 1) / (tp + 0.7 * fn + 0.3 * fp + 1), 0.75))
""", MANY, 'exact', 'FocalTverskyLoss', dict(alpha=0.3, beta=0.7, gamma=4 / 3), 0),
    'power_after_the_mean': (TF, """
def loss(y_true, y_pred):
    tp = tf.reduce_sum(y_true * y_pred, [0, 1, 2])
    fn = tf.reduce_sum(y_true * (1 - y_pred), [0, 1, 2])
    fp = tf.reduce_sum((1 - y_true) * y_pred, [0, 1, 2])
    return tf.pow(1 - tf.reduce_mean((tp + 1) / (tp + 0.7 * fn + 0.3 * fp + 1)), 0.75)
""", MANY, 'nearest', 'FocalTverskyLoss', {}, 0),
    'log_dice': (K, """
def loss(y_true, y_pred):
    both = K.sum(y_true * y_pred)
    return -K.log((2 * both + 1) / (K.sum(y_true) + K.sum(y_pred) + 1))
""", ONE, 'exact', 'DiceSemimetricLoss', dict(log_loss=True, smooth=0.5), 0),
    'background_dropped': (K, """
def dice(y_true, y_pred):
    both = K.sum(K.flatten(y_true) * K.flatten(y_pred))
    return (2 * both + smooth) / (K.sum(y_true) + K.sum(y_pred) + smooth)

def loss(y_true, y_pred, classes=3):
    total = 0
    for k in range(1, classes):
        total += dice(y_true[..., k], y_pred[..., k])
    return 1 - total / (classes - 1)
""", MANY, 'exact', 'SoftDiceLoss', dict(classes=(1, 2), granularity='D'), 0),
    'sum_over_classes': (K, """
def dice_loss(y_true, y_pred):
    both = K.sum(y_true * y_pred)
    return 1 - (2 * both + smooth) / (K.sum(y_true) + K.sum(y_pred) + smooth)

def loss(y_true, y_pred):
    return sum(dice_loss(y_true[:, :, :, k], y_pred[:, :, :, k]) for k in range(y_pred.shape[-1]))
""", MANY, 'exact', 'SoftDiceLoss', dict(classes='all', loss_weight=3.0), 0),
    'weighted_cross_entropy': (K + 'import numpy as np\n', """
def weighted(weights):
    weights = K.variable(weights)

    def loss(y_true, y_pred):
        y_pred /= K.sum(y_pred, axis=-1, keepdims=True)
        y_pred = K.clip(y_pred, K.epsilon(), 1 - K.epsilon())
        return -K.sum(y_true * K.log(y_pred) * weights, -1)

    return loss

loss = weighted(np.array([0.5, 2.0, 10.0]))
""", MANY, 'float32', 'WeightedCrossEntropyLoss', dict(class_weight=(0.5, 2.0, 10.0)), 0),
    'pooled': (K, """
def loss(y_true, y_pred):
    both = K.sum(K.flatten(y_true) * K.flatten(y_pred))
    return 1 - (2 * both + 1) / (K.sum(y_true) + K.sum(y_pred) + 1)
""", MANY, 'exact', 'SoftDiceLoss', dict(pooled=True, granularity='D', smooth=0.5), 0),
    'pooled_power': (K, """
def loss(y_true, y_pred):
    both = K.sum(K.flatten(y_true) * K.flatten(y_pred))
    return (1 - (2 * both + 1) / (K.sum(y_true) + K.sum(y_pred) + 1)) ** 2
""", MANY, 'not yet', 'FocalTverskyLoss', {}, 0),
    'epsilon_below': (OPS, """
def loss(y_true, y_pred):
    both = ops.sum(ops.multiply(y_true, y_pred))
    return 1 - 2 * both / (ops.sum(y_true) + ops.sum(y_pred) + 1e-7)
""", ONE, 'float32', 'SoftDiceLoss', dict(smooth=0.0), 0),
    'per_pixel_jaccard': (K, """
def loss(y_true, y_pred, smooth=100):
    both = K.sum(K.abs(y_true * y_pred), axis=-1)
    size = K.sum(K.abs(y_true) + K.abs(y_pred), axis=-1)
    return (1 - (both + smooth) / (size - both + smooth)) * smooth
""", MANY, 'none', None, {}, 0),
    'means': (TF, """
def loss(y_true, y_pred):
    both = tf.reduce_mean(y_true * y_pred)
    return 1 - (2 * both + 1e-2) / (tf.reduce_mean(y_true) + tf.reduce_mean(y_pred) + 1e-2)
""", ONE, 'nearest', 'SoftDiceLoss', {}, 0),
    'thresholded': (K, """
def loss(y_true, y_pred):
    p = K.cast(K.greater(y_pred, 0.5), 'float32')
    return 1 - (2 * K.sum(y_true * p) + 1) / (K.sum(y_true) + K.sum(p) + 1)
""", ONE, 'none', None, {}, 0),
    'smoothed_twice': (K, """
def loss(y_true, y_pred):
    both = K.sum(y_true * y_pred)
    return 1 - 2 * (both + 1) / (K.sum(y_true) + K.sum(y_pred) + 1)
""", ONE, 'nearest', 'SoftDiceLoss', {}, 0),
    'score_as_a_loss': (K, """
def loss(y_true, y_pred):
    return (2 * K.sum(y_true * y_pred) + 1) / (K.sum(y_true) + K.sum(y_pred) + 1)
""", ONE, 'nearest', 'SoftDiceLoss', {}, 0),
    'log_cosh_dice': (TF, """
def loss(y_true, y_pred):
    x = 1 - (2 * tf.reduce_sum(y_true * y_pred) + 1) / (tf.reduce_sum(y_true) + tf.reduce_sum(y_pred) + 1)
    return tf.math.log((tf.exp(x) + tf.exp(-x)) / 2.0)
""", ONE, 'exact', 'LogCoshDiceLoss', {}, 0),
    'one_hot_inside': (TF, """
def loss(y_true, y_pred):
    y = tf.one_hot(tf.cast(y_true, tf.int32), depth=y_pred.shape[-1], dtype=tf.float32)
    both = tf.reduce_sum(y * y_pred, axis=(0, 1, 2))
    return 1 - tf.reduce_mean((2 * both + 1) / (tf.reduce_sum(y, axis=(0, 1, 2)) + tf.reduce_sum(y_pred, axis=(0, 1, 2)) + 1))
""", IDS, 'exact', 'SoftDiceLoss', dict(granularity='D', smooth=0.5), 0),
    'logits_of_keras': (OPS, """
def loss(y_true, y_pred):
    p = ops.sigmoid(y_pred)
    return 1 - (2 * ops.sum(y_true * p) + 1) / (ops.sum(y_true) + ops.sum(p) + 1)
""", KERAS_LOGITS, 'exact', 'SoftDiceLoss', dict(from_logits=True), 0),
    'class_of_keras': (OPS, """
class DiceLoss(keras.losses.Loss):
    def __init__(self, smooth=1.0, name='dice'):
        super().__init__(name=name)
        self.smooth = smooth

    def call(self, y_true, y_pred):
        axes = [1, 2, 3]
        return 1 - (2 * ops.sum(y_true * y_pred, axes) + self.smooth) / (ops.sum(y_true, axes) + ops.sum(y_pred, axes) + self.smooth)

loss = DiceLoss(smooth=1e-3)
""", ONE, 'exact', 'SoftDiceLoss', dict(granularity='I', smooth=5e-4), 0),
    'torch_dice': (TORCH, """
class DiceLoss(nn.Module):
    def __init__(self, smooth=1):
        super().__init__()
        self.smooth = smooth

    def forward(self, inputs, targets):
        inputs = torch.sigmoid(inputs)
        inputs = inputs.view(-1)
        targets = targets.view(-1)
        both = (inputs * targets).sum()
        return 1 - (2. * both + self.smooth) / (inputs.sum() + targets.sum() + self.smooth)

loss = DiceLoss()
""", TORCH_ONE, 'exact', 'SoftDiceLoss', dict(granularity='D', smooth=0.5), 0),
    'torch_bce_dice': (TORCH, """
class DiceBCELoss(nn.Module):
    def __init__(self):
        super(DiceBCELoss, self).__init__()
        self.bce = nn.BCEWithLogitsLoss()

    def dice(self, p, y, smooth=1.):
        n = y.size(0)
        p, y = p.contiguous().view(n, -1), y.view(n, -1).float()
        return 1 - ((2 * (p * y).sum(dim=1) + smooth) / (p.sum(1) + y.sum(1) + smooth)).mean()

    def forward(self, pred, target):
        return 0.5 * self.bce(pred, target) + self.dice(pred.sigmoid(), target)

loss = DiceBCELoss()
""", TORCH_ONE, 'exact', 'WeightedSumLoss', dict(names=['SoftDiceLoss', 'WeightedCrossEntropyLoss'], weights=(1.0, 0.5)), 0),
    'torch_multiclass_dice': (TORCH, """
def loss(logits, target, eps=1e-7):
    num_classes = logits.shape[1]
    one_hot = F.one_hot(target.long(), num_classes).permute(0, 3, 1, 2).float()
    prob = F.softmax(logits, dim=1)
    dims = (0,) + tuple(range(2, logits.ndim))
    both = torch.sum(prob * one_hot, dims)
    size = torch.sum(prob + one_hot, dims)
    return 1 - (2. * both / (size + eps)).mean()
""", TORCH_IDS, 'float32', 'SoftDiceLoss', dict(granularity='D', smooth=0.0), 0),
    'torch_cross_entropy_and_dice': (TORCH, """
def loss(logits, target):
    ce = F.cross_entropy(logits, target)
    prob = torch.softmax(logits, 1)
    y = torch.zeros_like(prob).scatter_(1, target.unsqueeze(1), 1)
    score = 0
    for c in range(prob.shape[1]):
        score += (2 * (prob[:, c] * y[:, c]).sum() + 1) / (prob[:, c].sum() + y[:, c].sum() + 1)
    return ce + 1 - score / prob.shape[1]
""", TORCH_IDS, 'exact', 'WeightedSumLoss', dict(names=['SoftDiceLoss', 'WeightedCrossEntropyLoss']), 0),
    'torch_focal': (TORCH, """
def loss(inputs, targets, alpha=0.8, gamma=2):
    inputs = torch.sigmoid(inputs)
    bce = F.binary_cross_entropy(inputs.view(-1), targets.view(-1), reduction='mean')
    return alpha * (1 - torch.exp(-bce)) ** gamma * bce
""", TORCH_ONE, None, None, {}, 0),
    'torch_focal_pixels': (TORCH, """
def loss(logits, target, gamma=2.0):
    p = torch.sigmoid(logits)
    ce = F.binary_cross_entropy_with_logits(logits, target, reduction='none')
    p_t = p * target + (1 - p) * (1 - target)
    return (ce * ((1 - p_t) ** gamma)).mean()
""", TORCH_ONE, 'not yet', 'WeightedCrossEntropyLoss', {}, 0),
    'torch_iou': (TORCH, """
class IoULoss(nn.Module):
    def __init__(self, weight=None, size_average=True):
        super(IoULoss, self).__init__()

    def forward(self, inputs, targets, smooth=1):
        inputs = F.sigmoid(inputs)
        both = (inputs.view(-1) * targets.view(-1)).sum()
        total = (inputs + targets).sum()
        return 1 - (both + smooth) / (total - both + smooth)

loss = IoULoss()
""", TORCH_ONE, 'exact', 'SoftJaccardLoss', dict(smooth=1.0), 0),
    'torch_tversky': (TORCH, """
def make(alpha=0.5, beta=0.5):
    def loss(pred, target):
        p = pred.sigmoid().flatten()
        y = target.flatten()
        tp, fp, fn = (p * y).sum(), ((1 - y) * p).sum(), (y * (1 - p)).sum()
        return 1 - (tp + 1.) / (tp + alpha * fp + beta * fn + 1.)
    return loss

loss = make(0.2, beta=0.8)
""", TORCH_ONE, 'exact', 'SoftTverskyLoss', dict(alpha=0.2, beta=0.8), 0),
}  # fmt: skip

import segmentation_models as sm

sm.set_framework('tf.keras')
CLASSES = ['car', 'pedestrian']
n_classes = 1 if len(CLASSES) == 1 else (len(CLASSES) + 1)
activation = 'sigmoid' if n_classes == 1 else 'softmax'
model = sm.FPN('efficientnetb3', classes=n_classes, activation=activation)
dice = sm.losses.DiceLoss(class_weights=[1, 2, 0.5])
focal = sm.losses.BinaryFocalLoss() if n_classes == 1 else sm.losses.CategoricalFocalLoss(alpha=0.25, gamma=2.0)
loss = dice
loss += 2 * focal
model.compile(optimizer='adam', loss=loss, metrics=[sm.metrics.iou_score])
